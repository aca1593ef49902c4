"""Backups of a database in a vault of their own, which outlive its snapshots."""

from typing import cast

from aws_cdk import Arn, ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from constructs_lib.access.source import from_this_account
from constructs_lib.database.database import Database

GRACE = Duration.days(3)
"""What AWS Backup lets pass at least before a compliance lock can never be lifted again."""


class DatabaseBackup(Construct):
    """A daily AWS Backup plan for one database, besides the point-in-time recovery of RDS itself."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        database: Database,
        encryption_key: kms.IKey,
        hour: int,
        retention_days: int = 35,
        vault_name: str | None = None,
        new_vault_name: str | None = None,
        compliance: bool = False,
        copy_to_vault_arn: str | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    ) -> None:
        """
        :param database: what is backed up, every day
        :param hour: of the day, UTC, at which the backup begins. Choose one that is more than an hour away from the
            database's backup and maintenance windows: AWS Backup cannot start in them or in the hour before
        :param encryption_key: encrypts the vault that is made here
        :param retention_days: days a backup is kept. Default: 35
        :param vault_name: an existing vault to use, such as one that is locked or copied to another account. Default:
            a vault is made
        :param new_vault_name: name of the vault that is made here, 2 to 50 letters, digits, hyphens and underscores,
            unique in account and region. Default: CDK makes one up from the path of the construct, so that two stages
            with the same construct ids in one account collide
        :param compliance: how that vault is locked. Default: False, in governance mode, which IAM can allow somebody to
            lift. True is irreversible: `GRACE` after the deployment nobody, AWS included, can lift the lock or delete a
            backup early
        :param copy_to_vault_arn: a vault of this region that gets a copy of each backup, kept as long. In another
            account it needs a customer managed key and a policy that admits the copy; `encryption_key` is then shared
            with that account ("Creating backup copies across AWS accounts", AWS Backup Developer Guide). Default: no
            copy
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
                lock_configuration=backup.LockConfiguration(
                    min_retention=Duration.days(retention_days), changeable_for=GRACE if compliance else None
                ),
                removal_policy=removal_policy,
            )
        )
        plan = backup.BackupPlan(self, "Plan")
        plan.add_rule(
            backup.BackupPlanRule(
                rule_name="Daily",
                backup_vault=self.vault,
                schedule_expression=events.Schedule.cron(minute="0", hour=str(hour)),
                delete_after=Duration.days(retention_days),
                copy_actions=[self._copy(copy_to_vault_arn, retention_days)] if copy_to_vault_arn else None,
            )
        )
        if copy_to_vault_arn:
            self._share(encryption_key, Arn.split(copy_to_vault_arn, ArnFormat.COLON_RESOURCE_NAME).account)
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

    def _copy(self, vault_arn: str, retention_days: int) -> backup.BackupPlanCopyActionProps:
        return backup.BackupPlanCopyActionProps(
            destination_backup_vault=backup.BackupVault.from_backup_vault_arn(self, "CopyVault", vault_arn),
            delete_after=Duration.days(retention_days),
        )

    def _share(self, key: kms.IKey, account: str | None) -> None:
        # A backup has the database's key until the other account has copied it ("Sharing encrypted snapshots", RDS User
        # Guide).
        if not account or account == Stack.of(self).account:
            return
        uses = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        for actions, conditions in (
            (uses, {}),
            (["kms:CreateGrant"], {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        ):
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    principals=[iam.AccountPrincipal(account)], actions=actions, resources=["*"], conditions=conditions
                )
            )
