"""What an auditor runs against the templates."""

import json
import subprocess
import sys
from pathlib import Path

from tests.infra.synthesis import Stage

ROOT = Path(__file__).parents[2]


def test_cdk_nag_finds_nothing_unexplained(stage: Stage) -> None:
    assert stage.findings() == []


def test_every_acknowledgement_has_a_reason(stage: Stage) -> None:
    acknowledged = [
        rule
        for template in stage.templates.values()
        for resource in template["Resources"].values()
        for rule in resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", [])
    ]
    assert acknowledged
    assert [rule["id"] for rule in acknowledged if len(rule["reason"]) < 30] == []


def test_cfn_lint_finds_nothing(stage: Stage, tmp_path: Path) -> None:
    files = []
    for name, template in stage.templates.items():
        files.append(tmp_path / f"{name}.template.json")
        files[-1].write_text(json.dumps(template))
    command = [Path(sys.executable).with_name("cfn-lint"), *files]
    lint = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout) == (0, "")
