"""The backup plan of the database."""

from stacks.settings import settings
from tests.infra.iam_statements import statements
from tests.infra.synthesis import Stage, synthesize

PLAN = "AWS::Backup::BackupPlan"
VAULT = "AWS::Backup::BackupVault"


def test_prod_keeps_a_daily_backup_for_five_weeks_in_an_encrypted_vault(prod: Stage) -> None:
    (rule,) = prod.properties(PLAN)["BackupPlan"]["BackupPlanRule"]
    (vault_id,) = prod.resources(VAULT)
    assert (rule["ScheduleExpression"], rule["Lifecycle"]) == ("cron(0 1 * * ? *)", {"DeleteAfterDays": 35})
    assert rule["TargetBackupVault"] == {"Fn::GetAtt": [vault_id, "BackupVaultName"]}
    assert "DatabaseKey" in str(prod.properties(VAULT)["EncryptionKeyArn"])
    assert prod.resources(VAULT)[vault_id]["DeletionPolicy"] == "RetainExceptOnCreate"


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
