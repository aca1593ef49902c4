"""The backup plan of the database."""

import pytest

from stacks import time_windows
from stacks.settings import ConfigError, load, settings
from stacks.time_windows import DAY
from tests.infra.iam_statements import statements
from tests.infra.synthesis import SETTINGS, Stage, synthesize

PLAN = "AWS::Backup::BackupPlan"
VAULT = "AWS::Backup::BackupVault"


def test_prod_keeps_a_daily_backup_for_five_weeks_in_an_encrypted_vault(prod: Stage) -> None:
    (rule,) = prod.properties(PLAN)["BackupPlan"]["BackupPlanRule"]
    (vault_id,) = prod.resources(VAULT)
    assert (rule["ScheduleExpression"], rule["Lifecycle"]) == ("cron(0 8 * * ? *)", {"DeleteAfterDays": 35})
    assert rule["TargetBackupVault"] == {"Fn::GetAtt": [vault_id, "BackupVaultName"]}
    assert "DatabaseKey" in str(prod.properties(VAULT)["EncryptionKeyArn"])
    assert prod.resources(VAULT)[vault_id]["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.parametrize(
    "windows",
    [
        ("02:00-02:45", "sun:05:30-sun:06:30"),
        ("01:00-01:30", "sun:01:30-sun:02:00"),
        ("23:30-00:15", "mon:04:00-mon:05:00"),
        ("00:00-06:00", "wed:10:30-wed:21:00"),
        ("20:00-08:00", "sun:12:30-sun:18:00"),
        ("12:00-12:30", "sat:14:00-sun:02:00"),
    ],
)
def test_a_backup_begins_more_than_an_hour_away_from_both_windows(windows: tuple[str, str]) -> None:
    hour = time_windows.clear_hour(*windows)
    assert hour is not None
    (start, length), (begin, duration) = time_windows.daily(windows[0]), time_windows.weekly(windows[1])
    taken = {(start + minute) % DAY for minute in range(length + 1)}
    taken |= {(begin + minute) % DAY for minute in range(duration + 1)}
    assert taken.isdisjoint({(hour * 60 + minute) % DAY for minute in range(-60, 61)})


def test_windows_that_leave_no_hour_for_a_backup_are_refused_with_a_plan_only() -> None:
    windows = {"database.backup_window": "00:00-10:00", "database.maintenance_window": "sun:10:30-sun:23:30"}
    load("dev", SETTINGS["dev"] | windows)
    with pytest.raises(ConfigError, match="leave no hour of the day for AWS Backup"):
        load("prod", SETTINGS["prod"] | windows)


def test_a_backup_that_fails_or_does_not_come_rings(stage: Stage) -> None:
    watched = {
        alarm["Properties"]["MetricName"]: alarm["Properties"]
        for alarm in stage.resources("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"].get("Namespace") == "AWS/Backup"
    }
    if not stage.resources(PLAN):
        assert watched == {}
        return
    failed, completed = watched["NumberOfBackupJobsFailed"], watched["NumberOfBackupJobsCompleted"]
    (vault_id,) = stage.resources(VAULT)
    vault = [{"Name": "BackupVaultName", "Value": {"Fn::GetAtt": [vault_id, "BackupVaultName"]}}]
    assert failed["Dimensions"] == completed["Dimensions"] == vault
    assert (failed["Threshold"], failed["EvaluationPeriods"]) == (0, 1)
    assert (completed["Threshold"], completed["TreatMissingData"]) == (1, "breaching")
    assert 25 * 3600 <= completed["Period"] * completed["EvaluationPeriods"] <= 36 * 3600


def test_it_covers_the_database(prod: Stage) -> None:
    (database_id,) = prod.resources("AWS::RDS::DBInstance")
    selected = prod.properties("AWS::Backup::BackupSelection")["BackupSelection"]["Resources"]
    assert [{"Ref": database_id} in arn["Fn::Join"][1] for arn in selected] == [True]


def test_dev_has_no_plan(dev: Stage) -> None:
    assert dev.resources(PLAN) == {}


def test_vault_and_retention_are_settings() -> None:
    stage = synthesize("prod", backup__vault_name="central-locked", backup__retention_days="365")
    (rule,) = stage.properties(PLAN)["BackupPlan"]["BackupPlanRule"]
    assert (rule["TargetBackupVault"], rule["Lifecycle"]) == ("central-locked", {"DeleteAfterDays": 365})
    assert stage.resources(VAULT) == {}


def test_vault_is_locked_in_governance_mode_for_as_long_as_backups_are_kept(prod: Stage) -> None:
    assert prod.properties(VAULT)["LockConfiguration"] == {"MinRetentionDays": 35}


def test_compliance_that_nobody_can_lift_is_only_for_those_who_ask() -> None:
    stage = synthesize("prod", backup__vault_lock="compliance", backup__retention_days="90")
    assert stage.properties(VAULT)["LockConfiguration"] == {"MinRetentionDays": 90, "ChangeableForDays": 3}
    assert "irreversible" in str(settings()["backup.vault_lock"].description)


def test_copy_goes_to_another_account_which_may_use_the_key_for_it(prod: Stage) -> None:
    vault = "arn:aws:backup:eu-west-1:444455556666:backup-vault:copies"
    stage = synthesize("prod", backup__copy_to_vault_arn=vault)
    (rule,) = stage.properties(PLAN)["BackupPlan"]["BackupPlanRule"]
    assert rule["CopyActions"] == [{"DestinationBackupVaultArn": vault, "Lifecycle": {"DeleteAfterDays": 35}}]
    (shared, granted) = (s for s in statements(stage) if "444455556666" in str(s.get("Principal")))
    assert "kms:Decrypt" in shared["Action"]
    assert granted["Action"] == ["kms:CreateGrant"]
    assert granted["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    assert not [s for s in statements(prod) if "444455556666" in str(s.get("Principal"))]
    assert stage.findings() == []


def test_dev_can_have_a_plan_of_any_retention() -> None:
    stage = synthesize("dev", backup__retention_days="21")
    assert stage.findings() == []
    assert stage.properties(VAULT)["BackupVaultName"] == "cache-aside-dev"
