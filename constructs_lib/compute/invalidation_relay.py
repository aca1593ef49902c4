"""The scheduled function that repeats cache deletions until the cache has confirmed them."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from constructs_lib.compute.data_access import DataAccess
from constructs_lib.compute.live_alias import DIGEST_VARIABLE, LiveAlias, digest
from constructs_lib.compute.vpc_function import FunctionSettings, VpcFunction

PERIOD = Duration.minutes(1)


class InvalidationRelay(Construct):
    """A function that repeats pending cache deletions, every minute and for a minute at most.

    A minute is the shortest period of EventBridge. An event that fails is not tried again, because the next one
    does the same work.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: FunctionSettings,
        code: lambda_.Code,
        handler: str,
        data: DataAccess,
        environment: Mapping[str, str] | None = None,
        reserved_concurrency: int | None = None,
    ) -> None:
        """
        :param settings: of the function; its group must reach cache, database and the Secrets Manager endpoint
        :param code: the bundled code, see `python_bundle`
        :param handler: what Lambda calls, such as ``package.module.function``
        :param data: the cache to delete from, and the database that holds the outbox
        :param environment: variables besides those that name cache and database. Default: none
        :param reserved_concurrency: most executions at once, taken from the account's quota. Default: none reserved
        """
        super().__init__(scope, construct_id)
        relay = VpcFunction(
            self,
            "Function",
            settings=settings,
            description="Repeats the cache deletions that were not confirmed or that a failover may have lost",
            code=code,
            handler=handler,
            environment={
                **data.environment,
                **(environment or {}),
                DIGEST_VARIABLE: digest(self, data.replaced_with),
            },
            memory_mib=256,
            timeout=PERIOD,
            reserved_concurrency=reserved_concurrency,
        )
        self.function = relay.function
        data.grant(relay.role)
        alias = LiveAlias(self, "Live", function=self.function)
        alias.configure_async_invoke(retry_attempts=0, max_event_age=PERIOD)
        schedule = events.Rule(
            self, "Schedule", description="Runs the invalidation relay", schedule=events.Schedule.rate(PERIOD)
        )
        schedule.add_target(targets.LambdaFunction(alias, retry_attempts=0, max_event_age=PERIOD))
