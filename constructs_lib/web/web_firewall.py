"""A WAFv2 web ACL in front of a load balancer."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from constructs_lib.errors import PropError
from constructs_lib.watch.log_groups import LogSettings

MANAGED_GROUPS: Final = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesSQLiRuleSet",
)
LEAST_RATE, MOST_RATE = 10, 2_000_000_000  # AWS::WAFv2::WebACL, RateBasedStatement.Limit
_RATE_WINDOW_SECONDS = 300
_NEVER_LOGGED = ("authorization", "cookie")

_Rule = wafv2.CfnWebACL.RuleProperty
_Override = wafv2.CfnWebACL.OverrideActionProperty
_Statement = wafv2.CfnWebACL.StatementProperty


class WebFirewall(Construct):
    """Blocks known bad addresses and requests, and addresses that ask too often. Every decision is logged.

    About 10 dollars a month and 0.60 a million requests: 5 for the ACL and 1 for each rule (AWS WAF pricing, 2026).
    The common rule set refuses bodies over 8 KiB; raise that in AWS WAF before the app takes larger ones.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        load_balancer: elbv2.IApplicationLoadBalancer,
        name: str,
        log_settings: LogSettings,
        rate_limit: int = 2000,
        count_only: Sequence[str] = (),
    ) -> None:
        """
        :param load_balancer: what it protects
        :param name: the log group is called ``aws-waf-logs-{name}``; AWS WAF accepts no other beginning
        :param log_settings: of the log of decisions; credentials in it are redacted
        :param rate_limit: requests in five minutes after which one address is blocked. Default: 2000
        :param count_only: groups of `MANAGED_GROUPS` that count what they would block, to tune them. Default: none
        :raises PropError: for a rate that AWS refuses, or an unknown group
        """
        super().__init__(scope, construct_id)
        _check(rate_limit, count_only)
        self.web_acl = wafv2.CfnWebACL(
            self,
            "Resource",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visibility("WebACL"),
            rules=[
                _rate_rule(rate_limit),
                *(_managed(group, i + 1, group in count_only) for i, group in enumerate(MANAGED_GROUPS)),
            ],
        )
        wafv2.CfnWebACLAssociation(
            self,
            "Association",
            resource_arn=load_balancer.load_balancer_arn,
            web_acl_arn=self.web_acl.attr_arn,
        )
        self._log(name, log_settings)

    def _log(self, name: str, log_settings: LogSettings) -> None:
        group = log_settings.group(self, "LogGroup", name=f"aws-waf-logs-{name}")
        # CloudFormation's own ARN of a log group ends with ":*", which AWS WAF does not give back.
        arn = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=group.log_group_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.web_acl.attr_arn,
            log_destination_configs=[arn],
            redacted_fields=[
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": header})
                for header in _NEVER_LOGGED
            ],
        )


def _rate_rule(limit: int) -> _Rule:
    return _Rule(
        name="RateLimit",
        priority=0,
        action=wafv2.CfnWebACL.RuleActionProperty(block={}),
        statement=_Statement(
            rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP", limit=limit, evaluation_window_sec=_RATE_WINDOW_SECONDS
            )
        ),
        visibility_config=_visibility("RateLimit"),
    )


def _managed(group: str, priority: int, count_only: bool) -> _Rule:
    action = _Override(count={}) if count_only else _Override(none={})
    return _Rule(
        name=group,
        priority=priority,
        override_action=action,
        statement=_Statement(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS", name=group
            )
        ),
        visibility_config=_visibility(group),
    )


def _visibility(metric: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=True
    )


def _check(rate_limit: int, count_only: Sequence[str]) -> None:
    if not LEAST_RATE <= rate_limit <= MOST_RATE:
        raise PropError(f"rate_limit must be {LEAST_RATE} to {MOST_RATE}, got: {rate_limit}")
    if unknown := [group for group in count_only if group not in MANAGED_GROUPS]:
        raise PropError(f"count_only must name groups of {', '.join(MANAGED_GROUPS)}, got: {', '.join(unknown)}")
