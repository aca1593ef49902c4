"""Replaces the AUTH token of a replication group on a schedule."""

from aws_cdk import Aws, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs_lib.log_groups import LogSettings
from constructs_lib.redis_replication_group import RedisReplicationGroup
from constructs_lib.vpc_function import VpcFunction

SETTLE_PERIOD = Duration.minutes(5)
# ElastiCache takes minutes to change a token; what takes longer is waited for by the next attempt.
_TIMEOUT = Duration.minutes(10)


class AuthTokenRotation(Construct):
    """A rotation function, the schedule on which Secrets Manager calls it, and the rule that ends each rotation.

    Secrets Manager is done when clients can read the new token. The one before works for `drain` longer; the rule looks
    every five minutes whether that is over. It belongs in the stack of the secret and the group.
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
        period: Duration,
        environment_key: kms.IKey,
        log_settings: LogSettings,
        drain: Duration | None = None,
        reserved_concurrency: int | None = None,
    ) -> None:
        """
        :param python: version of the runtime, the one that `code` was bundled for
        :param security_group: must be allowed to reach the cache and the endpoints of Secrets Manager and ElastiCache
        :param cache: the group, whose secret is rotated
        :param period: between two rotations, whole days; the first one comes after it, not at the deployment
        :param environment_key: encrypts the function's environment
        :param drain: for how long at least the token before works beside the new one. Default: 15 minutes
        :param reserved_concurrency: most executions at once, taken from the account's quota. Default: none
        """
        super().__init__(scope, construct_id)
        secret = cache.auth_token.secret
        rotation = VpcFunction(
            self,
            "Function",
            description="Rotates the AUTH token of the cache",
            code=code,
            handler=handler,
            python=python,
            architecture=architecture,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_group=security_group,
            environment={
                "ELASTICACHE_ENDPOINT": cache.primary_endpoint,
                "ELASTICACHE_AUTH_SECRET_ARN": secret.secret_arn,
                "REPLICATION_GROUP_ID": cache.replication_group_id,
                "DRAIN_SECONDS": str((drain or Duration.minutes(15)).to_seconds()),
            },
            environment_key=environment_key,
            log_settings=log_settings,
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
        self, cache: RedisReplicationGroup, secret: secretsmanager.ISecret, rotation: VpcFunction, period: Duration
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
