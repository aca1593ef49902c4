"""Whether a command that a page shows can be run: what it names must exist."""

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
from botocore import xform_name

from stacks.settings import settings
from storefront.http.table import OPERATIONS
from tests.docs.pages import ROOT

_CODE = ("stacks", "lambda_src", "local", "audit", "faults", "benchmarks", "tests")
_MAKE = re.compile(r"\bmake((?: +[A-Z_]+=\S+)*)((?: +[a-z][a-z-]*)+)((?: +[A-Z_]+=\S+)*)")
_BEFORE = re.compile(r"^((?:[A-Z_]+=\S+ +)+)[a-z]")
_ALONE = re.compile(r"^[A-Z_]+=\S+$")
# Of every operation, and those that the CLI renames.
_AWS_EVERYWHERE = (
    "profile",
    "region",
    "query",
    "output",
    "cli-input-json",
    "cli-binary-format",
    "notification-endpoint",
)
_SHELL_OPTIONS = re.compile(r"(?<!\w)-c +([a-z][\w.]*)=")


def problems(command: str) -> list[str]:
    """What the command names and nobody knows, each with what it is."""
    command = re.sub(r"(^|\s)#.*$", "", command)
    return [
        *_makes(command),
        *_variables(command),
        *_settings(command),
        *_modules(command),
        *_tests(command),
        *_urls(command),
        *_aws(command),
        *_cdk(command),
    ]


def _makes(command: str) -> Iterator[str]:
    for _, targets, _ in _MAKE.findall(command):
        yield from (f"make {target}: no such rule" for target in targets.split() if target not in _rules())


def _variables(command: str) -> Iterator[str]:
    given = " ".join([part for found in _MAKE.findall(command) for part in (found[0], found[2])])
    given += " " + " ".join([*_BEFORE.findall(command), *_ALONE.findall(command)])
    yield from (f"{name}: nothing reads it" for name in re.findall(r"\b([A-Z_]+)=", given) if not _is_read(name))


def _settings(command: str) -> Iterator[str]:
    if "cdk" in command or "make" in command or "stacks." in command:
        known = {"stage", *settings()}
        yield from (f"-c {key}: no such setting" for key in _SHELL_OPTIONS.findall(command) if key not in known)


def _modules(command: str) -> Iterator[str]:
    for module in re.findall(r"\bpython3? -m ([\w.]+)", command):
        file = module.replace(".", "/")
        ours = any((ROOT / f"{file}{end}").exists() for end in (".py", "/__main__.py"))
        if not ours and ("." in module or importlib.util.find_spec(module) is None):
            yield f"python -m {module}: no such module"


def _tests(command: str) -> Iterator[str]:
    if "pytest" in command:
        paths = re.findall(r"\btests/[\w./-]+", command)
        yield from (f"{path}: no such file" for path in paths if not (ROOT / path.partition("::")[0]).exists())


def _urls(command: str) -> Iterator[str]:
    for request in re.split(r"\bcurl\b", command)[1:]:
        method = re.search(r"-X +([A-Z]+)", request)
        for url in re.findall(r"(?:http://)?localhost:\d+(/[^\s'\"]*)", request):
            path = urlsplit(url).path
            verb = method[1] if method else "POST" if re.search(r" -d ", request) else "GET"
            if not _is_answered(verb, path):
                yield f"{verb} {path}: the app has no such operation"


def _aws(command: str) -> Iterator[str]:
    """What the AWS CLI would not know: it makes its commands and options of the services' models."""
    for service, operation, rest in re.findall(r"\baws ([a-z0-9-]+) ([a-z-]+)((?:[^|)\n]|\\\n)*)", command):
        if (service, operation) == ("cloudformation", "deploy"):
            continue  # a command of the CLI's own
        if (known := _aws_options(service, operation)) is None:
            yield f"aws {service} {operation}: no such operation"
        else:
            given = re.findall(r"(?<=\s)--([a-z][a-z0-9-]*)", rest)
            yield from (
                f"aws {service} {operation} --{option}: no such option" for option in given if option not in known
            )


@cache
def _aws_options(service: str, operation: str) -> set[str] | None:
    session = botocore.session.get_session()
    if service not in session.get_available_services():
        return None
    model = session.get_service_model(service)
    for name in model.operation_names:
        if xform_name(name, "-") == operation:
            shape = model.operation_model(name).input_shape
            members = {xform_name(member, "-") for member in (shape.members if shape else ())}
            return {*members, *(f"no-{member}" for member in members), *_AWS_EVERYWHERE}
    return None


def _cdk(command: str) -> Iterator[str]:
    for rest in re.findall(r"\bnpx cdk((?: [^|\n]*)?)", command):
        for option in re.findall(r"(?<=\s)--([a-z][a-z-]*)", rest):
            if f'"{option.removeprefix("no-")}"' not in _cdk_code():
                yield f"npx cdk --{option}: no such option"


@cache
def _cdk_code() -> str:
    return (ROOT / "node_modules" / "aws-cdk" / "lib" / "index.js").read_text()


def _is_answered(method: str, path: str) -> bool:
    return any(row.method == method and _pattern(row.path).fullmatch(path) for row in OPERATIONS)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{\w+}", "[^/]+", path))


@cache
def _makefile() -> str:
    return (ROOT / "Makefile").read_text()


@cache
def _rules() -> set[str]:
    return {
        name for names in re.findall(r"^([a-z][a-z -]*):(?!=)", _makefile(), re.MULTILINE) for name in names.split()
    }


@cache
def _is_read(name: str) -> bool:
    word = re.compile(rf"\b{name}\b")
    files = (path for folder in _CODE for path in (ROOT / folder).rglob("*.py") if path.parent != Path(__file__).parent)
    return bool(word.search(_makefile())) or any(word.search(path.read_text()) for path in files)
