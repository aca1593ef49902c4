"""Log groups that are encrypted and expire: the key, and the settings that all constructs share."""

from dataclasses import dataclass

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct


class LogKey(kms.Key):
    """A key that CloudWatch Logs may use for the log groups of this account and region, and for nothing else.

    The log groups name the key by ARN, so it can live in another stack than they do. Source: "Encrypt log data in
    CloudWatch Logs using AWS Key Management Service", CloudWatch Logs User Guide.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, removal_policy: RemovalPolicy, description: str = "Log groups"
    ) -> None:
        """
        :param removal_policy: what happens to the key when its stack is deleted; without it the logs are unreadable
        :param description: of the key. Default: Log groups
        """
        super().__init__(
            scope,
            construct_id,
            description=description,
            enable_key_rotation=True,
            removal_policy=removal_policy,
        )
        stack = Stack.of(self)
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{stack.region}.amazonaws.com")],
                actions=["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": stack.format_arn(
                            service="logs",
                            resource="log-group",
                            resource_name="*",
                            arn_format=ArnFormat.COLON_RESOURCE_NAME,
                        )
                    }
                },
            )
        )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """How log groups are made.

    :param key: encrypts them; its policy must admit CloudWatch Logs (see `LogKey`)
    :param retention: how long log events are kept
    :param removal_policy: what happens to the groups when their stack is deleted. Default: they are kept
    """

    key: kms.IKey
    retention: logs.RetentionDays
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE

    def group(self, scope: Construct, construct_id: str, *, name: str | None = None) -> logs.LogGroup:
        """A new log group.

        :param name: Default: CloudFormation makes one up; give one only where AWS looks for it
        """
        return logs.LogGroup(
            scope,
            construct_id,
            log_group_name=name,
            encryption_key=self.key,
            retention=self.retention,
            removal_policy=self.removal_policy,
        )
