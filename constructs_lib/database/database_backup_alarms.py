"""The alarms of a database's backups, which fail quietly."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs_lib.database.database_backup import DatabaseBackup
from constructs_lib.watch.alarms import Alarms

_HOUR = Duration.hours(1)
_LONGEST = 30  # hours between two daily backups: one of them may take longer than the other


class DatabaseBackupAlarms(Alarms):
    """Alarms of one vault: a backup that failed, and none that was completed for more than a day.

    Source of the metrics: "AWS Backup metrics with Amazon CloudWatch", AWS Backup Developer Guide.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, topic: sns.ITopic, database_backup: DatabaseBackup
    ) -> None:
        """
        :param topic: must let cloudwatch.amazonaws.com publish, see `AlarmTopic`
        :param database_backup: whose vault is watched, with all that others keep there
        """
        super().__init__(scope, construct_id, topic=topic)
        self._vault = database_backup.vault.backup_vault_name
        self.add(
            "Failed",
            self._metric("NumberOfBackupJobsFailed"),
            above=0,
            periods=1,
            says="A backup of the database failed. The job in AWS Backup has the reason; start another by hand.",
        )
        self.add(
            "Missing",
            self._metric("NumberOfBackupJobsCompleted"),
            below=1,
            periods=_LONGEST,
            silence_is_wrong=True,
            says=f"No backup of the database was completed for {_LONGEST} hours. In a new stage: until the first one.",
        )

    def _metric(self, name: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/Backup",
            metric_name=name,
            dimensions_map={"BackupVaultName": self._vault},
            statistic="Sum",
            period=_HOUR,
        )
