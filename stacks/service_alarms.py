"""The alarms of the app tier."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs_lib import Alarms, LambdaService, WebFirewall

# Events of storefront/security_log.py.
PASSWORD_REFUSED, REFUSED, SEAL_BROKEN = "password_refused", "refused", "seal_broken"
USER_CREATED, ROLE_CHANGED, USER_DISABLED = "user_created", "role_changed", "user_disabled"
OPERATOR = "operator"
PASSWORD_RATE = "PasswordRate"  # noqa: S105 - the firewall's rule
# In five minutes.
MOST_REFUSED_PASSWORDS = 50
MOST_REFUSALS = 100
MOST_REFUSALS_OF_USERS = 10
MOST_BLOCKED_REQUESTS = 1000
_MINUTE, _FIVE_MINUTES = Duration.minutes(1), Duration.minutes(5)


class ServiceAlarms(Alarms):
    """What users notice, and what keeps the cache right. `of_a_bad_release`: what rings when a new version fails."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic,
        load_balancer: elbv2.ApplicationLoadBalancer,
        service: LambdaService,
        relay: lambda_.IFunction,
        namespace: str,
        firewall: WebFirewall | None = None,
    ) -> None:
        """
        :param load_balancer: what users reach the service through
        :param service: the app
        :param relay: the function that repeats deletions, every minute
        :param namespace: of the metrics that the functions write and of those counted in the app's log, another one for
            each stage
        :param firewall: what blocks requests before they reach the load balancer. Default: nothing
        """
        super().__init__(scope, construct_id, topic=topic)
        self.of_a_bad_release: list[cloudwatch.IAlarm] = []
        self._answers(load_balancer)
        self._functions(service.function, relay)
        self._security_log(service.log_group, namespace)
        if firewall:
            self._blocked(firewall)
        self._cache(namespace)

    def _answers(self, load_balancer: elbv2.ApplicationLoadBalancer) -> None:
        metrics = load_balancer.metrics
        app_errors = self.add(
            "AppErrors",
            metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_5XX_COUNT, period=_MINUTE),
            above=10,
            datapoints=3,
            says="Users see errors: the app answers more than ten requests a minute with 5xx.",
        )
        load_balancer_errors = self.add(
            "LoadBalancerErrors",
            metrics.http_code_elb(elbv2.HttpCodeElb.ELB_5XX_COUNT, period=_MINUTE),
            above=10,
            datapoints=3,
            says="Users see errors: the app does not answer, and the load balancer returns more than ten 5xx a minute.",
        )
        self.of_a_bad_release += [app_errors, load_balancer_errors]
        self.add(
            "SlowAnswers",
            metrics.target_response_time(statistic="p99", period=_MINUTE),
            above=1,
            says="One request in a hundred takes over a second. Look at reads that bypass the cache, and cold starts.",
        )

    def _functions(self, service: lambda_.IFunction, relay: lambda_.IFunction) -> None:
        crashes = self.add(
            "Crashes",
            service.metric_errors(period=_MINUTE),
            above=0,
            datapoints=3,
            says="The app's function crashes or times out. See its log.",
        )
        self.of_a_bad_release.append(crashes)
        self.add(
            "Throttles",
            service.metric_throttles(period=_MINUTE),
            above=0,
            datapoints=3,
            says="Lambda is throttling: all executions are busy. There are more, or slower, requests than planned.",
        )
        self.add(
            "RelayErrors",
            relay.metric_errors(period=_MINUTE),
            above=0,
            says="The relay cannot reach the database, so pending deletions are not repeated. See its log.",
        )
        self.add(
            "RelayStopped",
            relay.metric_invocations(period=_MINUTE),
            below=1,
            silence_is_wrong=True,
            says="The relay does not run, so pending deletions are not repeated. Is its schedule disabled?",
        )

    def _security_log(self, log_group: logs.ILogGroup, namespace: str) -> None:
        new_operator = logs.FilterPattern.all(_event(USER_CREATED), _is("$.role", OPERATOR))
        for construct_id, name, pattern, most, says in (
            (
                "PasswordGuessing",
                "PasswordsRefused",
                _event(PASSWORD_REFUSED),
                MOST_REFUSED_PASSWORDS,
                "Passwords are guessed from many addresses, or no firewall limits one. Did a guess succeed? Look for "
                "`logged_in` after `password_refused` of the same user.",
            ),
            (
                "ManyRefusals",
                "Refusals",
                _event(REFUSED),
                MOST_REFUSALS,
                "Somebody tries what they may not do, or tokens of no session. The app's log has who and what.",
            ),
            (
                "RefusedUsers",
                "RefusalsOfUsers",
                logs.FilterPattern.all(_event(REFUSED), logs.FilterPattern.exists("$.user")),
                MOST_REFUSALS_OF_USERS,
                "Somebody who is logged in tries what they may not do. The app's log has who and what: ask them, or "
                "take their role away.",
            ),
            (
                "NewRights",
                "RoleChanges",
                logs.FilterPattern.any(new_operator, _event(ROLE_CHANGED), _event(USER_DISABLED)),
                0,
                "There is a new operator, or somebody's role was changed or taken away. The app's log has whose and by "
                "whom: ask them.",
            ),
            (
                "ForeignSessions",
                "BrokenSeals",
                _event(SEAL_BROKEN),
                0,
                "Somebody else writes sessions into the cache. Nobody gets in by it. Find out who can log in to the "
                "cache, and rotate the AUTH token: docs/rotation.md.",
            ),
        ):
            counted = logs.MetricFilter(
                self,
                name,
                log_group=log_group,
                filter_pattern=pattern,
                metric_namespace=namespace,
                metric_name=name,
            )
            metric = counted.metric(statistic="Sum", period=_FIVE_MINUTES)
            self.add(construct_id, metric, above=most, periods=1, says=says)

    def _blocked(self, firewall: WebFirewall) -> None:
        self.add(
            "BlockedRequests",
            firewall.metric_blocked_requests(period=_FIVE_MINUTES),
            above=MOST_BLOCKED_REQUESTS,
            periods=1,
            says="AWS WAF blocks many requests: an attack, or a rule that hits users. Its log names rule and address.",
        )
        # One address cannot reach MOST_REFUSED_PASSWORDS, as this rule stops it before.
        self.add(
            "BlockedPasswords",
            firewall.metric_blocked_requests(rule=PASSWORD_RATE, period=_FIVE_MINUTES),
            above=0,
            periods=1,
            says="One address sent more passwords than AWS WAF lets through: it may guess. The firewall's log has "
            "the address. Did a guess succeed? Look for `logged_in` after `password_refused` of the same user.",
        )

    def _cache(self, namespace: str) -> None:
        for construct_id, event, says in (
            ("CacheErrors", "CACHE_ERROR", "Commands to the cache fail, and readers go to the database."),
            (
                "PendingDeletions",
                "PENDING",
                "Writers cannot delete obsolete keys. The relay will repeat the deletions.",
            ),
            (
                "RefusedDeletions",
                "QUARANTINED",
                "The cache refuses to delete obsolete keys and may serve them until their TTL. The relay's log "
                "names the rows of cache_invalidations and the reason, such as missing permissions.",
            ),
        ):
            self.add(
                construct_id,
                cloudwatch.Metric(
                    namespace=namespace,
                    metric_name=event,
                    dimensions_map={"Policy": "none"},  # these belong to no policy
                    statistic="Sum",
                    period=_MINUTE,
                ),
                above=0,
                says=says,
            )


def _is(field: str, value: str) -> logs.JsonPattern:
    # Lambda's JSON log has the fields of a record's `extra` beside its message.
    return logs.FilterPattern.string_value(field, "=", value)


def _event(name: str) -> logs.JsonPattern:
    return _is("$.event", name)
