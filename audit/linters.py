"""The packs that are programs of their own: cfn-lint and checkov read the templates of the stages."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from audit.findings import Finding, construct_of
from audit.synthesis import Audited

_CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
# An environment of its own, which `make audit` sets up: it is as large as all of ours.
_CHECKOV = Path(__file__).parents[1] / ".venv-audit" / "bin" / "checkov"


def cfn_lint(stages: Sequence[Audited]) -> list[set[Finding]]:
    """What cfn-lint says of each stage, warnings included. One run for all: it reads its schemas first."""
    templates = _templates(stages)
    found: list[set[Finding]] = [set() for _ in stages]
    for match in json.loads(_output([_CFN_LINT, "--format", "json", *templates])):
        number, name = templates[match["Filename"]]
        path = match["Location"]["Path"]
        template = stages[number].templates[name]
        place = construct_of(template, path[1]) if path[:1] == ["Resources"] else f"{name}/{path}"
        found[number].add(Finding(match["Rule"]["Id"], place))
    return found


def cfn_lint_rules() -> int:
    """How many rules it has."""
    return len(set(re.findall(r"^[EWI]\d{4}(?=: )", _output([_CFN_LINT, "--list-rules"]), re.MULTILINE)))


def checkov(stages: Sequence[Audited]) -> list[tuple[set[Finding], int]]:
    """What checkov says of each stage, and how many of its rules had something to say."""
    templates = _templates(stages)
    files = [text for path in templates for text in ("--file", path)]
    options = ["--framework", "cloudformation", "--output", "json", "--compact", "--skip-download", "--soft-fail"]
    results = json.loads(_output([str(_CHECKOV), *files, *options]))["results"]
    found: list[set[Finding]] = [set() for _ in stages]
    rules: list[set[str]] = [set() for _ in stages]
    for check in results["failed_checks"] + results["passed_checks"]:
        number, name = templates[check["file_abs_path"]]
        rules[number].add(check["check_id"])
        if check["check_result"]["result"] == "FAILED":
            place = construct_of(stages[number].templates[name], check["resource"].rpartition(".")[2])
            found[number].add(Finding(check["check_id"], place))
    return [(findings, len(seen)) for findings, seen in zip(found, rules, strict=True)]


def _templates(stages: Sequence[Audited]) -> dict[str, tuple[int, str]]:
    """By its path, whose template it is: the number of the stage, and the stack."""
    return {
        str(stage.directory / f"{name}.template.json"): (number, name)
        for number, stage in enumerate(stages)
        for name in stage.templates
    }


def _output(command: Sequence[str]) -> str:
    # cfn-lint ends with the kinds of what it found; both print JSON all the same, and what is not JSON raises.
    environment = os.environ | {"LOG_LEVEL": "ERROR"}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False).stdout
