"""The packs that are programs of their own: cfn-lint and checkov read the templates of a stage."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit.findings import Finding, construct_of
from audit.synthesis import Audited

_CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
# An environment of its own, which `make audit` sets up: it is as large as all of ours.
_CHECKOV = Path(__file__).parents[1] / ".venv-audit" / "bin" / "checkov"


def cfn_lint(stage: Audited) -> set[Finding]:
    """What cfn-lint says, warnings included."""
    files = [f"{name}.template.json" for name in stage.templates]
    found = json.loads(_output([_CFN_LINT, "--format", "json", *files], stage.directory))
    return {_of_cfn_lint(stage, match) for match in found}


def cfn_lint_rules(directory: Path) -> int:
    """How many rules it has."""
    return len(set(re.findall(r"^[EWI]\d{4}(?=: )", _output([_CFN_LINT, "--list-rules"], directory), re.MULTILINE)))


def _of_cfn_lint(stage: Audited, match: dict[str, Any]) -> Finding:
    stack = match["Filename"].removesuffix(".template.json")
    path = match["Location"]["Path"]
    place = construct_of(stage.templates[stack], path[1]) if path[:1] == ["Resources"] else f"{stack}/{path}"
    return Finding(match["Rule"]["Id"], place)


def checkov(stage: Audited) -> tuple[set[Finding], int]:
    """What checkov says, and how many of its rules had something to say."""
    files = [text for name in stage.templates for text in ("--file", f"{name}.template.json")]
    options = ["--framework", "cloudformation", "--output", "json", "--compact", "--skip-download", "--soft-fail"]
    results = json.loads(_output([str(_CHECKOV), *files, *options], stage.directory))["results"]
    failed, passed = results["failed_checks"], results["passed_checks"]
    return {_of_checkov(stage, check) for check in failed}, len({check["check_id"] for check in failed + passed})


def _of_checkov(stage: Audited, check: dict[str, Any]) -> Finding:
    stack = Path(check["file_path"]).name.removesuffix(".template.json")
    logical_id = check["resource"].rpartition(".")[2]
    return Finding(check["check_id"], construct_of(stage.templates[stack], logical_id))


def _output(command: Sequence[str], directory: Path) -> str:
    # cfn-lint ends with the kinds of what it found; both print JSON all the same, and what is not JSON raises.
    environment = os.environ | {"LOG_LEVEL": "ERROR"}
    return subprocess.run(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True, check=False
    ).stdout
