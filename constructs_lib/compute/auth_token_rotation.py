"""Replaces the AUTH token of a replication group on a schedule."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs_lib.cache.replication_group import ReplicationGroup
from constructs_lib.compute.vpc_function import FunctionSettings, VpcFunction

SETTLE_PERIOD = Duration.minutes(5)
# ElastiCache takes minutes to change a token; what takes longer is waited for by the next attempt.
_TIMEOUT = Duration.minutes(10)


class AuthTokenRotation(Construct):
    """A rotation function, the schedule on which Secrets Manager calls it, and the rule that ends each rotation.

    Secrets Manager is done when clients can read the new token. The old one works for `drain` longer; the rule looks
    every five minutes whether that is over. It belongs in the stack of the secret and the group.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: FunctionSettings,
        code: lambda_.Code,
        handler: str,
        cache: ReplicationGroup,
        period: Duration,
        drain: Duration | None = None,
        reserved_concurrency: int | None = None,
    ) -> None:
        """
        :param settings: of the function; its group must reach the cache and the endpoints of Secrets Manager and
            ElastiCache
        :param code: the bundled code, see `python_bundle`
        :param handler: what Lambda calls, such as ``package.module.function``
        :param cache: the group, whose secret is rotated
        :param period: between two rotations, whole days; the first one comes after it, not at the deployment
        :param drain: for how long at least the old token works beside the new one. Default: 15 minutes
        :param reserved_concurrency: most executions at once, taken from the account's quota. Default: none reserved
        :raises PropError: for a cache whose clients are users: it has no token
        """
        super().__init__(scope, construct_id)
        secret = cache.auth_token.secret
        rotation = VpcFunction(
            self,
            "Function",
            settings=settings,
            description="Rotates the AUTH token of the cache",
            code=code,
            handler=handler,
            environment={
                "ELASTICACHE_ENDPOINT": cache.primary_endpoint,
                "ELASTICACHE_AUTH_SECRET_ARN": secret.secret_arn,
                "ELASTICACHE_REPLICATION_GROUP_ID": cache.replication_group_id,
                "DRAIN_SECONDS": str((drain or Duration.minutes(15)).to_seconds()),
            },
            memory_mib=256,
            timeout=_TIMEOUT,
            reserved_concurrency=reserved_concurrency,
        )
        self.function = rotation.function
        cache.auth_token.grant_rotate(rotation.role)
        cache.grant_auth_token_change(rotation.role)
        self._schedule(cache, secret, rotation, period)
        self._settle()

    def _schedule(
        self, cache: ReplicationGroup, secret: secretsmanager.ISecret, rotation: VpcFunction, period: Duration
    ) -> None:
        permission = lambda_.CfnPermission(
            self,
            "Permission",
            action="lambda:InvokeFunction",
            function_name=self.function.function_arn,
            principal="secretsmanager.amazonaws.com",
            source_arn=secret.secret_arn,
            source_account=Aws.ACCOUNT_ID,
        )
        # Not Secret.add_rotation_schedule, which grants more than is used and writes the role into the key's policy.
        schedule = secretsmanager.CfnRotationSchedule(
            self,
            "Schedule",
            secret_id=secret.secret_arn,
            rotation_lambda_arn=self.function.function_arn,
            rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(
                automatically_after_days=period.to_days()
            ),
            rotate_immediately_on_update=False,
        )
        # Secrets Manager tries the function when the schedule is made; without the group there is nothing to rotate.
        schedule.node.add_dependency(cache, permission, rotation.role)

    def _settle(self) -> None:
        rule = events.Rule(
            self,
            "Settle",
            description="Ends the time in which the cache takes two tokens",
            schedule=events.Schedule.rate(SETTLE_PERIOD),
        )
        event = events.RuleTargetInput.from_object({"settle": True})
        rule.add_target(
            targets.LambdaFunction(self.function, event=event, retry_attempts=0, max_event_age=SETTLE_PERIOD)
        )
