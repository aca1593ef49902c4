"""Backups of a database in a vault of their own, which outlive its snapshots."""

from typing import cast

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from constructs_lib.access.source import from_this_account
from constructs_lib.database.database import Database


class DatabaseBackup(Construct):
    """A daily AWS Backup plan for one database, besides the point-in-time recovery of RDS itself."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        database: Database,
        encryption_key: kms.IKey,
        retention_days: int = 35,
        vault_name: str | None = None,
        new_vault_name: str | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        """
        :param database: what is backed up, every day at 01:00 UTC
        :param encryption_key: encrypts the vault that is made here
        :param retention_days: days a backup is kept. Default: 35
        :param vault_name: an existing vault to use, such as one that is locked or copied to another account. Default:
            a vault is made
        :param new_vault_name: name of the vault that is made here, 2 to 50 letters, digits, hyphens and underscores,
            unique in account and region. Default: CDK makes one up from the path of the construct, so that two stages
            with the same construct ids in one account collide
        :param removal_policy: what happens to that vault when the stack is deleted. Default: it is kept
        """
        super().__init__(scope, construct_id)
        self.vault: backup.IBackupVault = (
            backup.BackupVault.from_backup_vault_name(self, "Vault", vault_name)
            if vault_name
            else backup.BackupVault(
                self,
                "Vault",
                backup_vault_name=new_vault_name,
                encryption_key=encryption_key,
                removal_policy=removal_policy,
            )
        )
        plan = backup.BackupPlan(self, "Plan")
        plan.add_rule(
            backup.BackupPlanRule(
                rule_name="Daily",
                backup_vault=self.vault,
                schedule_expression=events.Schedule.cron(minute="0", hour="1"),
                delete_after=Duration.days(retention_days),
            )
        )
        selection = plan.add_selection(
            "Database", resources=[backup.BackupResource.from_rds_database_instance(database.instance)]
        )
        # AWS does not document whether AWS Backup says in whose name it assumes the role, and a backup that fails does
        # so quietly: the conditions hold where it does.
        role = cast(iam.CfnRole, selection.node.find_child("Role").node.default_child)
        any_backup = Stack.of(self).format_arn(
            service="backup", resource="*", arn_format=ArnFormat.COLON_RESOURCE_NAME, resource_name="*"
        )
        role.add_property_override(
            "AssumeRolePolicyDocument.Statement.0.Condition", from_this_account(any_backup, if_known=True)
        )
