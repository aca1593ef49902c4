"""What the roles may do and who may assume them: reviewed statement by statement, and bounded by rules."""

import pytest
from syrupy.assertion import SnapshotAssertion

from stacks.settings import ConfigError
from tests.infra.iam_statements import Statement, statements
from tests.infra.synthesis import Stage, synthesize
from tests.infra.test_golden_templates import GoldenTemplate

KEY, ENDPOINT = "AWS::KMS::Key", "AWS::EC2::VPCEndpoint"
ROOT = "arn:<AWS::Partition>:iam::<AWS::AccountId>:root"


def allowed(stage: Stage) -> list[Statement]:
    """What is allowed. The policy of an endpoint allows nothing by itself: test_network.py looks at what it narrows."""
    return [s for s in statements(stage) if s["Effect"] == "Allow" and s["type"] != ENDPOINT]


@pytest.mark.filterwarnings("ignore:.*Can not relate snapshot location")  # it lies next to the templates
def test_every_statement_is_the_reviewed_one(prod: Stage, snapshot: SnapshotAssertion) -> None:
    assert statements(prod) == snapshot(name="prod/iam-statements", extension_class=GoldenTemplate)


def test_every_action_is_named(stage: Stage) -> None:
    with_wildcard = [s for s in allowed(stage) if "*" in str(s["Action"])]
    assert [s for s in with_wildcard if s["type"] != KEY] == []  # a key's policy is bounded by the next test


def test_only_the_account_itself_may_do_everything_with_a_key(stage: Stage) -> None:
    everything = [s for s in allowed(stage) if "kms:*" in s["Action"]]
    assert len(everything) == len(stage.resources(KEY))
    assert [s["Principal"] for s in everything] == [{"AWS": [ROOT]}] * len(everything)
    others = [s for s in allowed(stage) if s["type"] == KEY and s not in everything]
    assert [s["in"] for s in others if "Condition" not in s] == []


def test_every_wildcard_resource_is_registered(stage: Stage) -> None:
    for statement in allowed(stage):
        if "*" in statement.get("Resource", []) and statement["type"] != KEY:  # a key's policy is about that key
            stack, _, logical_id = statement["in"].partition("/")
            metadata = stage.templates[stack]["Resources"][logical_id]["Metadata"]
            assert "AwsSolutions-IAM5[Resource::*]" in [rule["id"] for rule in metadata["cdk_nag"]["rules_to_suppress"]]


def test_no_policy_allows_everyone(stage: Stage) -> None:
    assert [s for s in allowed(stage) if "*" in str(s.get("Principal", ""))] == []


def test_roles_are_assumed_by_one_service_each(stage: Stage) -> None:
    trust = [s["Principal"] for s in statements(stage) if "sts:AssumeRole" in s["Action"]]
    assert len(trust) == len(stage.resources("AWS::IAM::Role"))
    assert all(list(principal) == ["Service"] and len(principal["Service"]) == 1 for principal in trust)


def test_services_that_say_so_act_for_resources_of_this_account(prod: Stage) -> None:
    conditions = {
        principal: s.get("Condition", {})
        for s in allowed(prod)
        for principal in s.get("Principal", {}).get("Service", [])
        if s["type"] in {"AWS::IAM::Role", "AWS::S3::BucketPolicy"} and principal != "lambda.amazonaws.com"
    }
    here = {"aws:SourceAccount": "<AWS::AccountId>"}
    arn = "arn:<AWS::Partition>:{}:<AWS::Region>:<AWS::AccountId>:{}"
    assert conditions == {
        "vpc-flow-logs.amazonaws.com": {
            "StringEquals": here,
            "ArnLike": {"aws:SourceArn": arn.format("ec2", "vpc-flow-log/*")},
        },
        "monitoring.rds.amazonaws.com": {
            "StringEquals": here,
            "ArnLike": {"aws:SourceArn": arn.format("rds", "db:cache-aside-prod")},
        },
        "backup.amazonaws.com": {
            "StringEqualsIfExists": here,
            "ArnLikeIfExists": {"aws:SourceArn": arn.format("backup", "*:*")},
        },
        "codedeploy.amazonaws.com": {
            "StringEqualsIfExists": here,
            "ArnLikeIfExists": {"aws:SourceArn": arn.format("codedeploy", "deploymentgroup:*")},
        },
        "logdelivery.elasticloadbalancing.amazonaws.com": {
            "ArnLike": {"aws:SourceArn": arn.format("elasticloadbalancing", "loadbalancer/*")},
        },
    }


def test_a_boundary_bounds_every_role() -> None:
    roles = synthesize("prod", permissions_boundary="developers").resources("AWS::IAM::Role").values()
    assert roles
    assert all("policy/developers" in str(role["Properties"]["PermissionsBoundary"]) for role in roles)


def test_qualifier_leads_to_another_bootstrap_stack() -> None:
    text = str(synthesize("prod", bootstrap_qualifier="shop").templates)
    assert "/cdk-bootstrap/shop/version" in text
    assert "hnb659fds" not in text


def test_a_qualifier_that_cdk_refuses_is_refused() -> None:
    with pytest.raises(ConfigError, match="bootstrap_qualifier=Shop!"):
        synthesize("prod", bootstrap_qualifier="Shop!")


def test_nobody_deletes_access_logs_but_the_role_that_a_stage_names(stage: Stage) -> None:
    named = synthesize(stage.name, web__access_log_deletion_role="LogAdministrator")
    role = "arn:<AWS::Partition>:iam::<AWS::AccountId>:role/"
    roles = [f"{role}LogAdministrator", f"{role}*/LogAdministrator"]  # IAM Identity Center's have a path
    for each, condition in ((stage, None), (named, {"ArnNotLike": {"aws:PrincipalArn": roles}})):
        (deny,) = [s for s in statements(each) if "s3:DeleteObject" in s.get("Action", [])]
        assert (deny["Effect"], deny["Principal"], deny.get("Condition")) == ("Deny", {"AWS": ["*"]}, condition)
        assert deny["Action"] == ["s3:DeleteObject", "s3:DeleteObjectVersion"]


@pytest.mark.parametrize("days", [7, 365])
def test_access_logs_and_their_former_versions_are_gone_when_the_stage_says(days: int) -> None:
    (bucket,) = synthesize("prod", log_retention_days=str(days)).resources("AWS::S3::Bucket").values()
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    former = rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
    assert rule["ExpirationInDays"] + former == days
    assert 3 <= former <= 30, "time to notice that one was overwritten"
