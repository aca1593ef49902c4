"""A WAFv2 web ACL in front of a load balancer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import ArnFormat, Aws, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
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
RATE_WINDOWS_SECONDS = (60, 120, 300, 600)  # and EvaluationWindowSec
_RATE_WINDOW_SECONDS = 300
_NEVER_STORED = ("authorization", "cookie")

_Rule = wafv2.CfnWebACL.RuleProperty
_Override = wafv2.CfnWebACL.OverrideActionProperty
_Statement = wafv2.CfnWebACL.StatementProperty
_TOO_MANY = wafv2.CfnWebACL.BlockActionProperty(
    custom_response=wafv2.CfnWebACL.CustomResponseProperty(response_code=429)
)
_And, _Or = wafv2.CfnWebACL.AndStatementProperty, wafv2.CfnWebACL.OrStatementProperty


@dataclass(frozen=True, kw_only=True)
class PathRate:
    """How often one address may send some requests, such as those that carry a password.

    :param name: of the rule, and of its metric
    :param requests: method and beginning of the path of each, such as ``("POST", "/sessions")``. Paths are compared as
        an app sees them: percent-decoded and normalized
    :param limit: requests in the window after which the address gets 429, 10 to 2,000,000,000. AWS WAF looks every few
        seconds, so that a burst passes
    :param window_seconds: 60, 120, 300 or 600. Default: 300
    """

    name: str
    requests: Sequence[tuple[str, str]]
    limit: int
    window_seconds: int = 300


class WebFirewall(Construct):
    """Blocks known bad addresses and requests, and addresses that ask too often. Every decision is logged.

    The headers ``Authorization`` and ``Cookie`` are substituted before AWS WAF stores a request, in the log and in the
    sampled requests (``GetSampledRequests``): whoever may read either cannot act as a user. So are the parts of a body
    that match a rule, which may be of a password. Paths and query strings are stored as they came.

    About $10 a month, $1 more for each path rate, and $0.60 a million requests: $5 for the ACL and $1 for each rule
    (AWS WAF pricing, 2026).
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
        path_rates: Sequence[PathRate] = (),
        count_only: Sequence[str] = (),
    ) -> None:
        """
        :param load_balancer: what it protects
        :param name: of its metrics, unique in account and region; the log group is called ``aws-waf-logs-{name}``, as
            AWS WAF accepts no other beginning
        :param log_settings: of the log of decisions
        :param rate_limit: requests in five minutes after which one address is blocked. Default: 2000
        :param path_rates: lower limits for some requests; they come after `rate_limit` and before the groups. Default:
            none
        :param count_only: groups of `MANAGED_GROUPS` that count what they would block, to tune them. Default: none
        :raises PropError: for a rate or a window that AWS refuses, a path rate without requests, or an unknown group
        """
        super().__init__(scope, construct_id)
        _check(rate_limit, path_rates, count_only)
        self.web_acl = wafv2.CfnWebACL(
            self,
            "Resource",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visibility(name),
            data_protection_config=_without_credentials(),
            rules=[
                _rate_rule(rate_limit),
                *(_path_rate_rule(rate, i) for i, rate in enumerate(path_rates, 1)),
                *(_managed(g, i, g in count_only) for i, g in enumerate(MANAGED_GROUPS, 1 + len(path_rates))),
            ],
        )
        wafv2.CfnWebACLAssociation(
            self,
            "Association",
            resource_arn=load_balancer.load_balancer_arn,
            web_acl_arn=self.web_acl.attr_arn,
        )
        self._name = name
        self._log(name, log_settings)

    def metric_blocked_requests(self, *, rule: str = "ALL", period: Duration | None = None) -> cloudwatch.Metric:
        """Requests that a rule blocked; sum.

        :param rule: such as the name of a `PathRate`. Default: ALL, any rule
        :param period: Default: one minute
        """
        # "AWS WAF metrics and dimensions", AWS WAF Developer Guide.
        return cloudwatch.Metric(
            namespace="AWS/WAFV2",
            metric_name="BlockedRequests",
            dimensions_map={"WebACL": self._name, "Region": Aws.REGION, "Rule": rule},
            statistic="Sum",
            period=period or Duration.minutes(1),
        )

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
            logging_filter=_BLOCKED_OR_COUNTED,
            redacted_fields=[
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": header})
                for header in _NEVER_STORED
            ],
        )


# What passes is in the load balancer's own log, and cost twenty times as much here.
_BLOCKED_OR_COUNTED = {
    "DefaultBehavior": "DROP",
    "Filters": [
        {
            "Behavior": "KEEP",
            "Requirement": "MEETS_ANY",
            "Conditions": [{"ActionCondition": {"Action": action}} for action in ("BLOCK", "COUNT")],
        }
    ],
}


def _without_credentials() -> wafv2.CfnWebACL.DataProtectionConfigProperty:
    # The logging configuration redacts no bodies, and nothing in sampled requests.
    headers = wafv2.CfnWebACL.FieldToProtectProperty(field_type="SINGLE_HEADER", field_keys=[*_NEVER_STORED])
    body = wafv2.CfnWebACL.FieldToProtectProperty(field_type="BODY")
    return wafv2.CfnWebACL.DataProtectionConfigProperty(
        data_protections=[
            wafv2.CfnWebACL.DataProtectProperty(field=field, action="SUBSTITUTION") for field in (headers, body)
        ]
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


def _path_rate_rule(rate: PathRate, priority: int) -> _Rule:
    requests = [_Statement(and_statement=_And(statements=_is_request(*request))) for request in rate.requests]
    any_of_them = _Statement(or_statement=_Or(statements=requests))
    return _Rule(
        name=rate.name,
        priority=priority,
        action=wafv2.CfnWebACL.RuleActionProperty(block=_TOO_MANY),
        statement=_Statement(
            rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP",
                limit=rate.limit,
                evaluation_window_sec=rate.window_seconds,
                # An alternative of one is refused.
                scope_down_statement=any_of_them if len(requests) > 1 else requests[0],
            )
        ),
        visibility_config=_visibility(rate.name),
    )


def _is_request(method: str, path: str) -> list[_Statement]:
    return [
        _matches({"method": {}}, "EXACTLY", method, "NONE"),
        _matches({"uri_path": {}}, "STARTS_WITH", path, "URL_DECODE", "NORMALIZE_PATH"),
    ]


def _matches(field: Mapping[str, Any], how: str, text: str, *transformations: str) -> _Statement:
    return _Statement(
        byte_match_statement=wafv2.CfnWebACL.ByteMatchStatementProperty(
            field_to_match=wafv2.CfnWebACL.FieldToMatchProperty(**field),
            positional_constraint=how,
            search_string=text,
            text_transformations=[
                wafv2.CfnWebACL.TextTransformationProperty(priority=priority, type=kind)
                for priority, kind in enumerate(transformations)
            ],
        )
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


def _check(rate_limit: int, path_rates: Sequence[PathRate], count_only: Sequence[str]) -> None:
    for name, limit in (("rate_limit", rate_limit), *((f"limit of {rate.name}", rate.limit) for rate in path_rates)):
        if not LEAST_RATE <= limit <= MOST_RATE:
            raise PropError(f"{name} must be {LEAST_RATE} to {MOST_RATE}, got: {limit}")
    for rate in path_rates:
        if rate.window_seconds not in RATE_WINDOWS_SECONDS:
            allowed = ", ".join(map(str, RATE_WINDOWS_SECONDS))
            raise PropError(f"window_seconds of {rate.name} must be one of {allowed}, got: {rate.window_seconds}")
        if not rate.requests:
            raise PropError(f'requests of {rate.name} must name one at least, such as ("POST", "/sessions"), got: none')
    if unknown := [group for group in count_only if group not in MANAGED_GROUPS]:
        raise PropError(f"count_only must name groups of {', '.join(MANAGED_GROUPS)}, got: {', '.join(unknown)}")
