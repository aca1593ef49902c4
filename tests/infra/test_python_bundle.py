"""The bundles for AWS: made here, without Docker, for arm64 and the newest Python."""

import hashlib
import re
import zipfile
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from audit.settings_matrix import refusal
from constructs_lib.compute.python_bundle import bundle, fingerprint
from stacks.function_code import LAMBDA_SRC, MIGRATIONS
from stacks.settings import settings
from tests.infra.glibc import RUNTIMES, too_new
from tests.infra.synthesis import synthesize

REQUIREMENTS = {"app": LAMBDA_SRC / "storefront" / "requirements.txt", "migration": MIGRATIONS / "requirements.txt"}
MOST_BYTES = 12_000_000
AARCH64 = 0xB7  # e_machine of an ELF file


def bundle_for_aws(name: str, output: Path) -> Path:
    bundle(LAMBDA_SRC, REQUIREMENTS[name], "aarch64-manylinux_2_28", "3.14", output)
    return output


@pytest.fixture(scope="module", params=sorted(REQUIREMENTS))
def bundled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, bundle_for_aws(request.param, tmp_path_factory.mktemp(request.param))


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.bundling
def test_every_wheel_is_for_arm64_and_python_3_14(bundled: tuple[str, Path]) -> None:
    tags = [
        tag
        for wheel in bundled[1].glob("*.dist-info/WHEEL")
        for tag in re.findall(r"^Tag: (.+)$", wheel.read_text(), re.M)
    ]
    native = [tag for tag in tags if not tag.endswith("-any")]
    assert native
    assert [tag for tag in native if not re.fullmatch(r"(cp314-cp314|cp\d+-abi3)-manylinux\S*aarch64", tag)] == []


@pytest.mark.bundling
def test_every_shared_library_is_for_arm64(bundled: tuple[str, Path]) -> None:
    libraries = [path for path in bundled[1].rglob("*") if ".so" in path.suffixes]
    assert libraries
    assert [path.name for path in libraries if int.from_bytes(path.read_bytes()[18:20], "little") != AARCH64] == []


@pytest.mark.bundling
def test_zipped_bundle_is_under_12_mb(bundled: tuple[str, Path], tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(bundled[1].rglob("*")):
            zipped.write(path, path.relative_to(bundled[1]))
    assert archive.stat().st_size < MOST_BYTES


@pytest.mark.bundling
def test_two_bundles_are_the_same_to_the_byte(bundled: tuple[str, Path], tmp_path: Path) -> None:
    name, first = bundled
    assert contents(bundle_for_aws(name, tmp_path)) == contents(first)


@pytest.mark.bundling
def test_bundle_carries_the_sources_and_nothing_of_this_machine(bundled: tuple[str, Path]) -> None:
    _, folder = bundled
    assert (folder / "cache_aside" / "__init__.py").exists()
    assert (folder / "functions" / "schema_migration" / "handler.py").exists()
    assert [path for path in folder.rglob("*") if path.name in {"__pycache__", "bin", ".lock"}] == []


def offered() -> list[tuple[str, str]]:
    """Every Python version with every architecture that the settings allow."""
    annotations = (settings()[key].annotation for key in ("app.python", "app.architecture"))
    pairs = product(*map(get_args, annotations))
    return [
        (python, architecture)
        for python, architecture in pairs
        if not refusal("dev", {"app.python": python, "app.architecture": architecture})
    ]


def bundle_of_all(python: str, architecture: str, output: Path) -> Path:
    """The packages of app and migration together."""
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture]
    for requirements in REQUIREMENTS.values():
        bundle(MIGRATIONS, requirements, f"{machine}-manylinux_2_28", python, output)
    return output


@pytest.mark.bundling
@pytest.mark.parametrize(("python", "architecture"), offered())
def test_every_shared_library_loads_with_the_glibc_of_the_runtime(
    python: str, architecture: str, tmp_path: Path
) -> None:
    assert too_new(bundle_of_all(python, architecture, tmp_path), RUNTIMES[python]) == []


@pytest.mark.bundling
def test_python_3_11_is_not_offered_where_its_packages_do_not_load(tmp_path: Path) -> None:
    assert ("3.11", "arm64") not in offered()
    assert "needs 2.27" in " ".join(too_new(bundle_of_all("3.11", "arm64", tmp_path), RUNTIMES["3.11"]))


def test_fingerprint_follows_names_and_contents_and_ignores_caches(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    before = fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("cached")
    assert fingerprint(tmp_path) == before
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = fingerprint(tmp_path)
    (tmp_path / "b.py").write_text("2")
    assert len({before, renamed, fingerprint(tmp_path)}) == 3


def test_platform_and_python_are_part_of_the_asset_hash() -> None:
    def key(**settings: str) -> str:
        code = synthesize("dev", **settings).properties("AWS::Lambda::Function", "ServiceFunction")["Code"]
        return str(code["S3Key"])

    assert len({key(), key(app__architecture="x86_64"), key(app__python="3.13")}) == 3
