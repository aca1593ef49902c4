"""The scheduled function that repeats cache deletions until the cache has confirmed them."""

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from constructs_lib.data_access import data_environment, grant_data_access
from constructs_lib.database import Database
from constructs_lib.log_groups import LogSettings
from constructs_lib.redis_replication_group import RedisReplicationGroup
from constructs_lib.vpc_function import VpcFunction

PERIOD = Duration.minutes(1)


class InvalidationRelay(Construct):
    """Runs every minute, the shortest period that EventBridge has, and never for longer.

    An event that fails is not tried again, as the next one does the same work.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        handler: str,
        python: str,
        architecture: lambda_.Architecture,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        security_group: ec2.ISecurityGroup,
        cache: RedisReplicationGroup,
        database: Database,
        database_user: str,
        environment_key: kms.IKey,
        log_settings: LogSettings,
        reserved_concurrency: int | None = None,
    ) -> None:
        """
        :param python: version of the runtime, the one that `code` was bundled for
        :param security_group: must be allowed to reach cache, database and the Secrets Manager endpoint
        :param database_user: the database role to connect as, by IAM token
        :param environment_key: encrypts the function's environment
        :param reserved_concurrency: most executions at once, taken from the account's quota. Default: none
        """
        super().__init__(scope, construct_id)
        relay = VpcFunction(
            self,
            "Function",
            description="Repeats the cache deletions that were not confirmed or that a failover may have lost",
            code=code,
            handler=handler,
            python=python,
            architecture=architecture,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_group=security_group,
            environment=data_environment(cache, database, database_user),
            environment_key=environment_key,
            log_settings=log_settings,
            memory_mib=256,
            timeout=PERIOD,
            reserved_concurrency=reserved_concurrency,
        )
        self.function = relay.function
        grant_data_access(relay.role, cache, database, database_user)
        self.function.configure_async_invoke(retry_attempts=0, max_event_age=PERIOD)
        schedule = events.Rule(
            self, "Schedule", description="Runs the invalidation relay", schedule=events.Schedule.rate(PERIOD)
        )
        schedule.add_target(targets.LambdaFunction(self.function, retry_attempts=0, max_event_age=PERIOD))
