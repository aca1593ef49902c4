"""What an auditor runs against the templates, and the register of what stands nevertheless."""

import json
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

import app as cdk_app
from audit.findings import Finding, unused
from stacks.accepted_findings import decisions
from stacks.settings import load
from tests.infra.synthesis import SETTINGS, Stage, build, nag_findings, synthesize

MOST_DECISIONS = 15


def test_no_pack_finds_anything_unexplained(any_stage: Stage) -> None:
    assert any_stage.findings() == []


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_exception_from_the_packs_is_still_needed(stage: str) -> None:
    app = build({"stage": stage, **SETTINGS[stage]}, acknowledged=False)
    packs = tuple(pack(app).read_pack_name for pack in cdk_app.NAG_PACKS)
    left_over = unused(decisions(), load(stage, SETTINGS[stage]), nag_findings(app))
    assert [finding for finding in left_over if finding.rule.startswith(packs)] == []


def test_an_exception_that_nothing_finds_any_more_is_named(prod: Stage) -> None:
    config = load("prod", SETTINGS["prod"])
    assert Finding("AwsSolutions-RDS11", "Data/Database/Resource/Resource") in set(unused(decisions(), config, []))


def test_settings_decide_whether_an_exception_holds() -> None:
    assert synthesize("prod", app__python="3.12", app__reserved_concurrency="none").findings() == []
    (concurrency,) = (decision for decision in decisions() if decision.id == "accounts-with-little-quota")
    assert not concurrency.accepts[0].holds(load("prod", SETTINGS["prod"]))


def test_register_stays_short() -> None:
    config = load("prod", SETTINGS["prod"])
    for_prod = [decision for decision in decisions() if any(entry.holds(config) for entry in decision.accepts)]
    assert len(for_prod) <= MOST_DECISIONS


def test_every_decision_is_reviewed_in_time() -> None:
    assert [decision.id for decision in decisions() if decision.review <= date.today()] == []


def test_every_decision_has_a_name_of_its_own() -> None:
    names = [decision.id for decision in decisions()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("missing", ["owner", "reason", "compensation", "review", "accepts"])
def test_a_decision_that_lacks_something_is_refused(missing: str, tmp_path: Path) -> None:
    register = tmp_path / "accepted_findings.yaml"
    entry = {
        "id": "x",
        "owner": "security officer",
        "reason": "because it was always like this",
        "compensation": "somebody looks at it every now and then",
        "review": "2099-01-01",
        "accepts": [{"rules": ["R"], "constructs": ["C"]}],
    }
    register.write_text(json.dumps([entry]))
    assert [decision.id for decision in decisions(register)] == ["x"]
    register.write_text(json.dumps([{key: value for key, value in entry.items() if key != missing}]))
    with pytest.raises(ValidationError, match=missing):
        decisions(register)


def test_templates_carry_the_reasons_for_auditors(prod: Stage) -> None:
    (bucket,) = prod.resources("AWS::S3::Bucket").values()
    (decision,) = (decision for decision in decisions() if decision.id == "bucket-of-access-logs")
    accepted = {rule["id"]: rule["reason"] for rule in bucket["Metadata"]["cdk_nag"]["rules_to_suppress"]}
    assert accepted["AwsSolutions-S1"] == decision.reason
    assert bucket["Metadata"]["checkov"]["skip"] == [{"id": "CKV_AWS_18", "comment": decision.reason}]
