"""Role-based access to a replication group: one user for the app, who proves by IAM who it is."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from constructs import Construct


class CacheUsers(Construct):
    """A user group with the app's user in it. There is no password: nothing to store, to rotate or to leak.

    IAM authentication needs TLS and an engine of version 7 or later (ElastiCache User Guide, "Authenticating with
    IAM"). A group for Redis must contain a user called default, so one is there who may not even log in; the one that
    AWS makes has every right and no password. A group for Valkey needs no default, and takes no user without a
    password (ElastiCache User Guide, "Role-Based Access Control"; aws-elasticache-alpha's `UserGroup` checks the same).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        engine: str,
        commands: Sequence[str],
        key_patterns: Sequence[str],
    ) -> None:
        """
        :param name: begins the ids of users and group, which ElastiCache does not make up; unique in account and region
        :param engine: the replication group's, ``redis`` or ``valkey``
        :param commands: all that the app may send, besides AUTH
        :param key_patterns: all keys that it may send them for, also from within scripts
        """
        super().__init__(scope, construct_id)
        self.user_name = f"{name}-app"
        app = elasticache.CfnUser(
            self,
            "AppUser",
            engine=engine,
            user_id=self.user_name,
            user_name=self.user_name,  # IAM authentication wants name and id to be the same
            authentication_mode={"Type": "iam"},
            access_string=access_string(commands, key_patterns),
        )
        self._user_arn = app.attr_arn
        group = elasticache.CfnUserGroup(
            self,
            "Resource",
            engine=engine,
            user_group_id=name,
            user_ids=[app.ref, *([self._disabled_default(name).ref] if engine == "redis" else [])],
        )
        self.group_id = group.ref

    def grant_connect(self, grantee: iam.IGrantable, replication_group_id: str) -> iam.Grant:
        """Allow logging in as the app's user, to this replication group only; AWS asks for a right to both."""
        group = Stack.of(self).format_arn(
            service="elasticache",
            resource="replicationgroup",
            partition=Aws.PARTITION,
            region=Aws.REGION,
            account=Aws.ACCOUNT_ID,
            resource_name=replication_group_id,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["elasticache:Connect"], resource_arns=[group, self._user_arn]
        )

    def _disabled_default(self, name: str) -> elasticache.CfnUser:
        return elasticache.CfnUser(
            self,
            "DefaultUser",
            engine="redis",
            user_id=f"{name}-default",
            user_name="default",
            authentication_mode={"Type": "no-password-required"},
            access_string="off -@all",
        )


def access_string(commands: Sequence[str], key_patterns: Sequence[str]) -> str:
    """The access string of a user who may send these commands for these keys, and nothing else.

    Source: ACL SETUSER, https://valkey.io/topics/acl.

    :param commands: names of commands, such as ``get``
    :param key_patterns: glob patterns of keys, such as ``product:*``
    """
    return " ".join(["on", *(f"~{pattern}" for pattern in key_patterns), "-@all", *(f"+{name}" for name in commands)])
