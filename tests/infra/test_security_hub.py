"""Security Hub's FSBP standard against the prod templates: every control passes or names its exception."""

import copy
from pathlib import Path
from typing import Any

import pytest

from audit.findings import Finding, accepted, unused
from audit.security_hub import CONTROLS, NOT_APPLICABLE, Control, findings
from audit.synthesis import NEEDED, Audited, synthesize
from stacks.accepted_findings import decisions
from stacks.settings import load

CONFIG = load("prod", NEEDED["prod"])


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return synthesize("prod", Path(tmp_path_factory.mktemp("audited")), acknowledged=True)


def of(control: str, found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.rule == f"SecurityHub-{control}"]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_control_passes_or_names_its_exception(control: Control, audited: Audited) -> None:
    found = of(control.id, list(findings(audited.templates)))
    assert [finding for finding in found if not accepted(finding, CONFIG, decisions())] == []


@pytest.mark.parametrize("resource_type", sorted({control.resource_type for control in CONTROLS}))
def test_control_has_something_to_look_at(resource_type: str, audited: Audited) -> None:
    types = {r["Type"] for template in audited.templates.values() for r in template["Resources"].values()}
    assert (
        resource_type in types or resource_type == "AWS::IAM::Policy"
    )  # there is no inline policy, which is the point


def test_every_exception_from_a_control_is_still_needed(audited: Audited) -> None:
    left_over = unused(decisions(), CONFIG, list(findings(audited.templates)))
    assert [finding for finding in left_over if finding.rule.startswith("SecurityHub-")] == []


@pytest.mark.parametrize(
    ("control", "stack", "resource_type", "change"),
    [
        ("RDS.2", "Data", "AWS::RDS::DBInstance", {"PubliclyAccessible": True}),
        ("RDS.25", "Data", "AWS::RDS::DBInstance", {"MasterUsername": "postgres"}),
        ("ElastiCache.3", "Data", "AWS::ElastiCache::ReplicationGroup", {"AutomaticFailoverEnabled": False}),
        ("ELB.17", "App", "AWS::ElasticLoadBalancingV2::Listener", {"SslPolicy": "ELBSecurityPolicy-2016-08"}),
        ("ELB.18", "App", "AWS::ElasticLoadBalancingV2::Listener", {"Protocol": "HTTP"}),
        ("S3.8", "App", "AWS::S3::Bucket", {"PublicAccessBlockConfiguration": {}}),
        ("Lambda.1", "App", "AWS::Lambda::Permission", {"Principal": "*"}),
        ("WAF.10", "App", "AWS::WAFv2::WebACL", {"Rules": []}),
        ("RDS.20", "Data", "AWS::RDS::EventSubscription", {"EventCategories": ["failure"]}),
        ("RDS.20", "Data", "AWS::RDS::EventSubscription", {"SourceIds": ["another-database"]}),
        (
            "SNS.4",
            "Network",
            "AWS::SNS::TopicPolicy",
            {"PolicyDocument": {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sns:Publish"}]}},
        ),
    ],
)
def test_a_control_finds_what_it_is_for(
    control: str, stack: str, resource_type: str, change: dict[str, Any], audited: Audited
) -> None:
    templates = copy.deepcopy(dict(audited.templates))
    wrong = next(r for r in templates[stack]["Resources"].values() if r["Type"] == resource_type)
    wrong["Properties"] |= change
    assert len(of(control, list(findings(templates)))) == 1


def test_a_missing_companion_is_found(audited: Audited) -> None:
    templates = copy.deepcopy(dict(audited.templates))
    resources = templates["App"]["Resources"]
    (logging,) = [i for i, r in resources.items() if r["Type"] == "AWS::WAFv2::LoggingConfiguration"]
    del resources[logging]
    assert len(of("WAF.11", list(findings(templates)))) == 1


def test_no_control_is_both_checked_and_not_applicable() -> None:
    assert {control.id for control in CONTROLS} & set(NOT_APPLICABLE) == set()
