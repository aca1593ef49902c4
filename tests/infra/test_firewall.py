"""AWS WAF before the load balancer."""

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from msgspec.structs import fields

from constructs_lib import MANAGED_GROUPS, LogSettings, PathRate, PropError, WebFirewall
from storefront.http.table import OPERATIONS
from tests.infra.synthesis import Stage, synthesize

ACL = "AWS::WAFv2::WebACL"
LOGIN = [("POST", "/sessions")]
MAKE_USERS = {("POST", "/users")}  # operators choose a password for somebody there, and nobody's is guessed


def rules(stage: Stage) -> dict[str, dict[str, Any]]:
    return {rule["Name"]: rule for rule in stage.properties(ACL)["Rules"]}


def make_firewall(**props: Any) -> WebFirewall:
    stack = cdk.Stack()
    load_balancer = elbv2.ApplicationLoadBalancer(stack, "LoadBalancer", vpc=ec2.Vpc(stack, "Vpc"))
    log_settings = LogSettings(key=kms.Key(stack, "Key"), retention=logs.RetentionDays.ONE_WEEK)
    return WebFirewall(stack, "Firewall", load_balancer=load_balancer, name="shop", log_settings=log_settings, **props)


def test_prod_blocks_with_every_managed_group_and_a_rate_limit(prod: Stage) -> None:
    assert list(rules(prod)) == ["RateLimit", "PasswordRate", *MANAGED_GROUPS]
    assert [rule["Priority"] for rule in rules(prod).values()] == list(range(6))
    assert rules(prod)["RateLimit"]["Action"] == {"Block": {}}
    assert rules(prod)["RateLimit"]["Statement"]["RateBasedStatement"]["Limit"] == 2000
    assert all(rules(prod)[group]["OverrideAction"] == {"None": {}} for group in MANAGED_GROUPS)


def limited(stage: Stage) -> set[tuple[str, str]]:
    """Method and beginning of the path of the requests that the password rule counts."""
    rate = rules(stage)["PasswordRate"]["Statement"]["RateBasedStatement"]
    requests = set()
    for alternative in rate["ScopeDownStatement"]["OrStatement"]["Statements"]:
        method, path = (s["ByteMatchStatement"] for s in alternative["AndStatement"]["Statements"])
        assert (method["FieldToMatch"], method["PositionalConstraint"]) == ({"Method": {}}, "EXACTLY")
        assert (path["FieldToMatch"], path["PositionalConstraint"]) == ({"UriPath": {}}, "STARTS_WITH")
        assert [t["Type"] for t in path["TextTransformations"]] == ["URL_DECODE", "NORMALIZE_PATH"]
        requests.add((method["SearchString"], path["SearchString"]))
    return requests


def test_one_address_may_send_few_passwords(prod: Stage) -> None:
    rule = rules(prod)["PasswordRate"]
    rate = rule["Statement"]["RateBasedStatement"]
    assert (rate["Limit"], rate["EvaluationWindowSec"], rate["AggregateKeyType"]) == (20, 300, "IP")
    assert rule["Action"] == {"Block": {"CustomResponse": {"ResponseCode": 429}}}


def test_requests_that_carry_a_password_are_those_of_the_app(prod: Stage) -> None:
    carry = {
        (operation.method, operation.path)
        for operation in OPERATIONS
        if operation.body and any("password" in field.name for field in fields(operation.body))
    }
    assert limited(prod) | MAKE_USERS == carry


def test_a_single_request_needs_no_alternative() -> None:
    firewall = make_firewall(path_rates=[PathRate(name="Login", requests=[("POST", "/login")], limit=10)])
    (_, rule, *_) = cdk.Stack.of(firewall).resolve(firewall.web_acl.rules)
    assert "andStatement" in rule["statement"]["rateBasedStatement"]["scopeDownStatement"]


def test_it_protects_the_load_balancer(prod: Stage) -> None:
    association = prod.properties("AWS::WAFv2::WebACLAssociation")
    (balancer_id,) = prod.resources("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert association["ResourceArn"] == {"Ref": balancer_id}


def test_decisions_are_logged_without_credentials(prod: Stage) -> None:
    logging = prod.properties("AWS::WAFv2::LoggingConfiguration")
    redacted = [field["SingleHeader"]["Name"] for field in logging["RedactedFields"]]
    assert redacted == ["authorization", "cookie"]
    group = prod.properties("AWS::Logs::LogGroup", "FirewallLogGroup")
    assert group["LogGroupName"] == "aws-waf-logs-cache-aside-prod"


def test_what_is_stored_of_a_request_holds_neither_credentials_nor_pieces_of_a_body(prod: Stage) -> None:
    protected = prod.properties(ACL)["DataProtectionConfig"]["DataProtections"]
    assert protected == [
        {"Field": field, "Action": "SUBSTITUTION"}  # details of what matched included, by default
        for field in ({"FieldType": "SINGLE_HEADER", "FieldKeys": ["authorization", "cookie"]}, {"FieldType": "BODY"})
    ]


def test_dev_has_none_until_told_so(dev: Stage) -> None:
    assert dev.resources(ACL) == {}
    assert len(synthesize("dev", web__firewall="true").resources(ACL)) == 1


def test_rate_and_groups_can_be_tuned() -> None:
    group = "AWSManagedRulesCommonRuleSet"
    tuned = rules(synthesize("prod", web__firewall_rate_limit="500", web__firewall_count_only=group))
    assert tuned["RateLimit"]["Statement"]["RateBasedStatement"]["Limit"] == 500
    assert [name for name, rule in tuned.items() if rule.get("OverrideAction") == {"Count": {}}] == [group]


@pytest.mark.parametrize(
    ("props", "message"),
    [
        ({"rate_limit": 9}, "rate_limit must be 10 to 2000000000, got: 9"),
        ({"path_rates": [PathRate(name="P", requests=LOGIN, limit=9)]}, "limit of P must be 10 to 2000000000, got: 9"),
        (
            {"path_rates": [PathRate(name="P", requests=LOGIN, limit=10, window_seconds=61)]},
            "window_seconds of P must be one of 60, 120, 300, 600, got: 61",
        ),
        ({"path_rates": [PathRate(name="P", requests=[], limit=10)]}, "requests of P must name one at least"),
        ({"count_only": ["Everything"]}, r"count_only must name groups of .*, got: Everything"),
    ],
)
def test_what_aws_refuses_is_refused_at_once(props: dict[str, Any], message: str) -> None:
    with pytest.raises(PropError, match=message):
        make_firewall(**props)


def test_log_keeps_what_was_blocked_or_counted_and_drops_the_rest(prod: Stage) -> None:
    chosen = prod.properties("AWS::WAFv2::LoggingConfiguration")["LoggingFilter"]
    assert chosen["DefaultBehavior"] == "DROP"
    (kept,) = chosen["Filters"]
    assert (kept["Behavior"], kept["Requirement"]) == ("KEEP", "MEETS_ANY")
    assert kept["Conditions"] == [{"ActionCondition": {"Action": action}} for action in ("BLOCK", "COUNT")]
