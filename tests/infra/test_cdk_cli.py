"""The real synthesis, as a reader runs it: the CDK CLI, its validator and the rule pack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.synthesis import SETTINGS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.cdk_cli


def synth(output: Path, **context: str) -> "subprocess.CompletedProcess[str]":
    arguments = [text for key, value in context.items() for text in ("-c", f"{key}={value}")]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("CDK_VALIDATION", None)
    command = ["npx", "cdk", "synth", "--quiet", "--output", str(output), *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("stage", "engine"), [("dev", "postgres"), ("prod", "postgres"), ("prod", "mysql")])
def test_synthesis_finds_nothing_to_complain_about(stage: str, engine: str, tmp_path: Path) -> None:
    result = synth(tmp_path / "cdk.out", stage=stage, **SETTINGS[stage], **{"database.engine": engine})
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr.upper().replace("NPM WARN", "")
    assert (tmp_path / "cdk.out" / "App.template.json").exists()


def test_synthesis_with_users_of_the_cache_says_that_it_replaces_the_cache_and_finds_nothing(tmp_path: Path) -> None:
    result = synth(tmp_path / "cdk.out", stage="prod", **SETTINGS["prod"], **{"cache.auth": "iam"})
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("WARNING ") == 1
    assert "this REPLACES the replication group by a new, empty one" in result.stderr


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"stage": "prod"}, "error: stage prod serves HTTPS only and has no certificate: give certificate_arn"),
        ({"stage": "prdo"}, "error: unknown stage 'prdo'; allowed: dev, prod"),
        (
            {"stage": "dev", "cache.nodetype": "x"},
            "error: unknown setting 'cache.nodetype'. Did you mean cache.node_type or cache.nodes?",
        ),
        (
            {"stage": "dev", "web.allowed_cidrs": "0.0.0.0/1,128.0.0.0/1"},
            "error: web.allowed_cidrs=0.0.0.0/1,128.0.0.0/1 admits 4,294,967,296 addresses",
        ),
        ({"stage": "dev", "web.allowed_cidrs": "me"}, "error: web.allowed_cidrs=me is not allowed"),
        (
            {"stage": "dev", **SETTINGS["dev"], "database.engine": "mysql", "database.insights": "standard"},
            "error: database.insights=standard is not possible for MySQL on database.instance_type=db.t4g.micro",
        ),
    ],
)
def test_a_refusal_is_one_clear_error(context: dict[str, str], message: str, tmp_path: Path) -> None:
    result = synth(tmp_path / "cdk.out", **context)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_nodes_without_failover_pass_the_validator_on_the_way_to_multi_az(tmp_path: Path) -> None:
    settings = SETTINGS["dev"] | {"cache.nodes": "2"}
    result = synth(tmp_path / "cdk.out", stage="dev", **settings)
    assert result.returncode == 0, result.stderr
