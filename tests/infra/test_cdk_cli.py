"""The real synthesis, as a reader runs it: the CDK CLI, its validator and the rule packs.

`make audit` runs the same validator and packs over the other stage, the other SQL engine and more settings.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import app as cdk_app
from stacks.settings import ConfigError
from tests.infra.synthesis import SETTINGS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.cdk_cli


def synth(output: Path, **context: str) -> "subprocess.CompletedProcess[str]":
    arguments = [text for key, value in context.items() for text in ("-c", f"{key}={value}")]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("CDK_VALIDATION", None)
    command = ["npx", "cdk", "synth", "--quiet", "--output", str(output), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_synthesis_of_prod_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    result = synth(tmp_path / "cdk.out", stage="prod", **SETTINGS["prod"])
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr.upper().replace("NPM WARN", "")
    assert (tmp_path / "cdk.out" / "App.template.json").exists()


def test_a_refusal_is_one_clear_error(tmp_path: Path) -> None:
    result = synth(tmp_path / "cdk.out", stage="prod")
    assert result.returncode != 0
    assert "error: stage prod serves HTTPS only and has no certificate: give certificate_arn" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stage": "prdo"}, "unknown stage 'prdo'; allowed: dev, prod"),
        (
            {"stage": "dev", "cache.nodetype": "x"},
            "unknown setting 'cache.nodetype'. Did you mean cache.node_type or cache.nodes?",
        ),
        (
            {"stage": "dev", "web.allowed_cidrs": "0.0.0.0/1,128.0.0.0/1"},
            "web.allowed_cidrs=0.0.0.0/1,128.0.0.0/1 admits 4,294,967,296 addresses",
        ),
        ({"stage": "dev", "web.allowed_cidrs": "me"}, "web.allowed_cidrs=me is not allowed"),
        (
            {"stage": "dev", **SETTINGS["dev"], "database.engine": "mysql", "database.insights": "standard"},
            "database.insights=standard is not possible for MySQL on database.instance_type=db.t4g.micro",
        ),
    ],
)
def test_what_the_app_refuses_is_told_apart(context: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        cdk_app.build(context)
