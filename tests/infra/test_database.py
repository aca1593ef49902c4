"""The RDS instance."""

import pytest

from constructs_lib.errors import PropError
from tests.infra.synthesis import Stage, synthesize

DATABASE = "AWS::RDS::DBInstance"


def test_prod_has_a_standby_protection_and_two_weeks_of_backups(prod: Stage) -> None:
    database = prod.properties(DATABASE)
    assert (database["MultiAZ"], database["DeletionProtection"], database["BackupRetentionPeriod"]) == (True, True, 15)
    assert database["DeleteAutomatedBackups"] is False
    (resource,) = prod.resources(DATABASE).values()
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")


def test_dev_may_be_destroyed(dev: Stage) -> None:
    database = dev.properties(DATABASE)
    assert (database["MultiAZ"], database["DeletionProtection"]) == (False, False)
    (resource,) = dev.resources(DATABASE).values()
    assert resource["DeletionPolicy"] == "Delete"


def test_database_is_the_major_version_that_the_tests_run(stage: Stage) -> None:
    database = stage.properties(DATABASE)
    assert (database["Engine"], database["EngineVersion"]) == ("postgres", "18")
    assert database["AutoMinorVersionUpgrade"] is True


def test_tls_is_forced_and_the_authority_is_pinned(stage: Stage) -> None:
    assert stage.properties("AWS::RDS::DBParameterGroup")["Parameters"] == {"rds.force_ssl": "1"}
    assert stage.properties(DATABASE)["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"


def test_storage_is_encrypted_gp3_that_grows(stage: Stage) -> None:
    database = stage.properties(DATABASE)
    assert (database["StorageType"], database["StorageEncrypted"]) == ("gp3", True)
    assert "DatabaseKey" in str(database["KmsKeyId"])
    assert database["MaxAllocatedStorage"] > int(database["AllocatedStorage"])
    assert database["CopyTagsToSnapshot"] is True


def test_rds_manages_the_master_password_under_the_customer_key(stage: Stage) -> None:
    database = stage.properties(DATABASE)
    assert database["ManageMasterUserPassword"] is True
    assert "DatabaseKey" in str(database["MasterUserSecret"]["KmsKeyId"])
    assert "MasterUserPassword" not in database


def test_database_is_private_and_takes_iam_tokens(stage: Stage) -> None:
    database = stage.properties(DATABASE)
    assert database["PubliclyAccessible"] is False
    assert database["EnableIAMDatabaseAuthentication"] is True
    subnets = stage.properties("AWS::RDS::DBSubnetGroup")["SubnetIds"]
    assert all("DataSubnet" in subnet["Fn::ImportValue"] for subnet in subnets)


def test_exported_logs_meet_a_group_that_is_already_there(stage: Stage) -> None:
    (resource,) = stage.resources(DATABASE).values()
    groups = {
        group["Properties"]["LogGroupName"]: logical_id
        for logical_id, group in stage.resources("AWS::Logs::LogGroup").items()
        if "LogGroupName" in group["Properties"]
    }
    identifier = resource["Properties"]["DBInstanceIdentifier"]
    exports = resource["Properties"]["EnableCloudwatchLogsExports"]
    assert set(groups) == {f"/aws/rds/instance/{identifier}/{export}" for export in exports}
    assert set(groups.values()) <= set(resource["DependsOn"])


def test_prod_watches_the_database_closely(prod: Stage) -> None:
    database = prod.properties(DATABASE)
    assert (database["DatabaseInsightsMode"], database["PerformanceInsightsRetentionPeriod"]) == ("advanced", 465)
    assert "DatabaseKey" in str(database["PerformanceInsightsKMSKeyId"])
    assert database["MonitoringInterval"] == 60


def test_insights_on_a_class_that_has_none_are_refused() -> None:
    with pytest.raises(PropError, match=r"insights must be off on instance_type db\.t4g\.micro, got: standard"):
        synthesize("dev", database__insights="standard")


def test_insights_are_allowed_from_medium_on() -> None:
    stage = synthesize("dev", database__insights="standard", database__instance_type="db.t4g.medium")
    assert stage.properties(DATABASE)["DatabaseInsightsMode"] == "standard"
