"""`make audit-deps`: known vulnerabilities of everything that is pinned, by pip-audit and npm audit.

Exit code 1 for a vulnerability that audit/advisories.yaml does not accept, 2 if no advisory service answers: pip-audit
alone would then report that it found nothing.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
REQUIREMENTS = (
    "requirements.txt",
    "requirements-dev.txt",
    "audit/requirements.txt",
    "benchmarks/requirements-cache.txt",
    "benchmarks/requirements-web-framework.txt",
    "lambda_src/storefront/requirements.txt",
    "lambda_src/functions/schema_migration/requirements.txt",
)
_PIP_AUDIT = ROOT / ".venv-audit" / "bin" / "pip-audit"


class UnreachableError(Exception):
    """No advisory service answered, so nothing is known. The message says which."""


def in_python(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Advisory and package of each finding in pip-audit's JSON.

    :raises UnreachableError: if it skipped a package, which it does when nobody answers
    """
    for package in report["dependencies"]:
        if "skip_reason" in package:
            raise UnreachableError(f"no advisory service for PyPI answers: {package['skip_reason']}")
        yield from ((found["id"], f"{package['name']} {package['version']}") for found in package["vulns"])


def in_node(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Advisory and package of each finding in npm's JSON.

    :raises UnreachableError: if the registry has no advisories
    """
    if "vulnerabilities" not in report:
        raise UnreachableError(f"no advisory service for npm answers: status {report.get('statusCode', 'unknown')}")
    for name, package in report["vulnerabilities"].items():
        yield from ((str(via["url"]).rpartition("/")[2], name) for via in package["via"] if isinstance(via, dict))


def accepted(advisories: list[dict[str, Any]], today: date) -> set[str]:
    """Ids of the advisories that are still accepted."""
    return {entry["id"] for entry in advisories if entry["reason"] and entry["until"] >= today}


def _found() -> Iterator[tuple[str, str]]:
    for requirements in REQUIREMENTS:
        options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
        yield from in_python(_json([str(_PIP_AUDIT), *options, "--requirement", requirements]))
    yield from in_node(_json(["npm", "audit", "--json"]))


def _json(command: list[str]) -> dict[str, Any]:
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(output.stdout)
    except json.JSONDecodeError as error:
        raise UnreachableError(f"{command[0]} gave no report: {output.stderr.strip()[-300:]}") from error
    return report


def main() -> None:
    """Print what was found."""
    allowed = accepted(yaml.safe_load((ROOT / "audit" / "advisories.yaml").read_text()), date.today())
    try:
        found = {f"{advisory} in {package}" for advisory, package in _found() if advisory not in allowed}
    except UnreachableError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    sys.stdout.write("\n".join([*sorted(found), f"{len(found)} vulnerabilities", ""]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
