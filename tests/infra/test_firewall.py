"""AWS WAF before the load balancer."""

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from constructs_lib import MANAGED_GROUPS, LogSettings, PropError, WebFirewall
from tests.infra.synthesis import Stage, synthesize

ACL = "AWS::WAFv2::WebACL"


def rules(stage: Stage) -> dict[str, dict[str, Any]]:
    return {rule["Name"]: rule for rule in stage.properties(ACL)["Rules"]}


def make_firewall(**props: Any) -> WebFirewall:
    stack = cdk.Stack()
    load_balancer = elbv2.ApplicationLoadBalancer(stack, "LoadBalancer", vpc=ec2.Vpc(stack, "Vpc"))
    log_settings = LogSettings(key=kms.Key(stack, "Key"), retention=logs.RetentionDays.ONE_WEEK)
    return WebFirewall(stack, "Firewall", load_balancer=load_balancer, name="shop", log_settings=log_settings, **props)


def test_prod_blocks_with_every_managed_group_and_a_rate_limit(prod: Stage) -> None:
    assert list(rules(prod)) == ["RateLimit", *MANAGED_GROUPS]
    assert rules(prod)["RateLimit"]["Action"] == {"Block": {}}
    assert rules(prod)["RateLimit"]["Statement"]["RateBasedStatement"]["Limit"] == 2000
    assert all(rules(prod)[group]["OverrideAction"] == {"None": {}} for group in MANAGED_GROUPS)


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
        ({"count_only": ["Everything"]}, r"count_only must name groups of .*, got: Everything"),
    ],
)
def test_what_aws_refuses_is_refused_at_once(props: dict[str, Any], message: str) -> None:
    with pytest.raises(PropError, match=message):
        make_firewall(**props)
