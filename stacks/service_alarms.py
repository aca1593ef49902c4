"""The alarms of the app tier."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs_lib import Alarms, LambdaService

PASSWORD_REFUSED = "password_refused"  # noqa: S105 - the event that storefront/http/problems.py logs
MOST_REFUSED_PASSWORDS = 50  # in five minutes
_MINUTE = Duration.minutes(1)


class ServiceAlarms(Alarms):
    """What users notice, and what keeps the cache right."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic,
        load_balancer: elbv2.ApplicationLoadBalancer,
        service: LambdaService,
        relay: lambda_.IFunction,
        namespace: str = "CacheAside",
    ) -> None:
        """
        :param load_balancer: what users reach the service through
        :param service: the app
        :param relay: the function that repeats deletions, every minute
        :param namespace: of the metrics that `cache_aside.EmbeddedMetrics` writes. Default: CacheAside
        """
        super().__init__(scope, construct_id, topic=topic)
        self._answers(load_balancer)
        self._functions(service.function, relay)
        self._passwords(service.log_group)
        self._cache(namespace)

    def _answers(self, load_balancer: elbv2.ApplicationLoadBalancer) -> None:
        metrics = load_balancer.metrics
        self.add(
            "AppErrors",
            metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_5XX_COUNT, period=_MINUTE),
            above=10,
            datapoints=3,
            says="Users see errors: the app answers more than ten requests a minute with 5xx.",
        )
        self.add(
            "LoadBalancerErrors",
            metrics.http_code_elb(elbv2.HttpCodeElb.ELB_5XX_COUNT, period=_MINUTE),
            above=10,
            datapoints=3,
            says="Users see errors: the app does not answer, and the load balancer returns more than ten 5xx a minute.",
        )
        self.add(
            "SlowAnswers",
            metrics.target_response_time(statistic="p99", period=_MINUTE),
            above=1,
            says="One request in a hundred takes over a second. Look at reads that bypass the cache, and cold starts.",
        )

    def _functions(self, service: lambda_.IFunction, relay: lambda_.IFunction) -> None:
        self.add(
            "Crashes",
            service.metric_errors(period=_MINUTE),
            above=0,
            datapoints=3,
            says="The app's function crashes or times out. See its log.",
        )
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

    def _passwords(self, log_group: logs.ILogGroup) -> None:
        # Lambda's JSON log has the fields of a record's `extra` beside its message.
        refused = logs.MetricFilter(
            self,
            "PasswordsRefused",
            log_group=log_group,
            filter_pattern=logs.FilterPattern.string_value("$.event", "=", PASSWORD_REFUSED),
            metric_namespace="Storefront",
            metric_name="PasswordsRefused",
        )
        self.add(
            "PasswordGuessing",
            refused.metric(statistic="Sum", period=Duration.minutes(5)),
            above=MOST_REFUSED_PASSWORDS,
            periods=1,
            says="Somebody may be guessing passwords. The firewall's log has the addresses.",
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
