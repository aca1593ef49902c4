"""The RDS instance."""

import re

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from constructs_lib import DATABASE_ENGINES, Database, LogSettings, PropError
from tests.infra.replacement import replacements
from tests.infra.synthesis import Stage, synthesize

DATABASE = "AWS::RDS::DBInstance"
PARAMETERS = "AWS::RDS::DBParameterGroup"
OPTIONS = "AWS::RDS::OptionGroup"


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


def test_mysql_is_the_long_term_support_release_that_grows_by_minor_versions(mysql: Stage) -> None:
    database = mysql.properties(DATABASE)
    assert (database["Engine"], database["EngineVersion"][:4]) == ("mysql", "8.4.")
    assert database["AutoMinorVersionUpgrade"] is True


def test_tls_is_forced(stage: Stage, mysql: Stage) -> None:
    group = stage.properties(PARAMETERS)
    assert (group["Family"], group["Parameters"]) == ("postgres18", {"rds.force_ssl": "1"})
    group = mysql.properties(PARAMETERS)
    assert (group["Family"], group["Parameters"]["require_secure_transport"]) == ("mysql8.4", "1")


def test_authority_is_pinned(any_stage: Stage) -> None:
    assert any_stage.properties(DATABASE)["CACertificateIdentifier"] == "rds-ca-rsa2048-g1"


def test_storage_is_encrypted_gp3_that_grows(any_stage: Stage) -> None:
    database = any_stage.properties(DATABASE)
    assert (database["StorageType"], database["StorageEncrypted"]) == ("gp3", True)
    assert "DatabaseKey" in str(database["KmsKeyId"])
    assert database["MaxAllocatedStorage"] > int(database["AllocatedStorage"])
    assert database["CopyTagsToSnapshot"] is True


def test_rds_manages_the_master_password_under_the_customer_key(any_stage: Stage) -> None:
    database = any_stage.properties(DATABASE)
    assert database["ManageMasterUserPassword"] is True
    assert "DatabaseKey" in str(database["MasterUserSecret"]["KmsKeyId"])
    assert "MasterUserPassword" not in database


def test_database_is_private_and_takes_iam_tokens(any_stage: Stage) -> None:
    database = any_stage.properties(DATABASE)
    assert database["PubliclyAccessible"] is False
    assert database["EnableIAMDatabaseAuthentication"] is True
    subnets = any_stage.properties("AWS::RDS::DBSubnetGroup")["SubnetIds"]
    assert all("DataSubnet" in subnet["Fn::ImportValue"] for subnet in subnets)


def test_exported_logs_meet_a_group_that_is_already_there(any_stage: Stage) -> None:
    (resource,) = any_stage.resources(DATABASE).values()
    groups = {
        group["Properties"]["LogGroupName"]: logical_id
        for logical_id, group in any_stage.resources("AWS::Logs::LogGroup").items()
        if logical_id.startswith("Database")
    }
    identifier = resource["Properties"]["DBInstanceIdentifier"]
    exports = resource["Properties"]["EnableCloudwatchLogsExports"]
    assert set(groups) == {f"/aws/rds/instance/{identifier}/{export}" for export in exports}
    assert set(groups.values()) <= set(resource["DependsOn"])


def test_each_engine_exports_all_of_its_logs(stage: Stage, mysql: Stage) -> None:
    assert stage.properties(DATABASE)["EnableCloudwatchLogsExports"] == ["postgresql", "upgrade"]
    assert mysql.properties(DATABASE)["EnableCloudwatchLogsExports"] == ["audit", "error", "general", "slowquery"]


def test_mysql_writes_slow_statements_to_a_file_and_no_general_log(mysql: Stage) -> None:
    parameters = mysql.properties(PARAMETERS)["Parameters"]
    assert (parameters["slow_query_log"], parameters["long_query_time"], parameters["log_output"]) == ("1", "1", "FILE")
    assert "general_log" not in parameters


def test_mysql_audits_who_connects_and_what_changes_tables_and_rights(mysql: Stage) -> None:
    (group_id,) = mysql.resources(OPTIONS)
    assert mysql.properties(DATABASE)["OptionGroupName"] == {"Ref": group_id}
    assert mysql.properties(OPTIONS)["OptionConfigurations"] == [
        {
            "OptionName": "MARIADB_AUDIT_PLUGIN",
            "OptionSettings": [{"Name": "SERVER_AUDIT_EVENTS", "Value": "CONNECT,QUERY_DDL,QUERY_DCL"}],
        }
    ]


def test_option_group_outlives_a_protected_stage_whose_snapshots_need_it(mysql: Stage) -> None:
    unprotected = synthesize("dev", database__engine="mysql")
    policies = [group["DeletionPolicy"] for s in (mysql, unprotected) for group in s.resources(OPTIONS).values()]
    assert policies == ["RetainExceptOnCreate", "Delete"]


def test_postgres_needs_no_option_group(stage: Stage) -> None:
    assert stage.resources(OPTIONS) == {}


def test_every_function_that_is_told_of_the_database_is_told_its_engine(stage: Stage, mysql: Stage) -> None:
    def told(stage: Stage) -> list[str]:
        functions = [f["Properties"] for f in stage.resources("AWS::Lambda::Function").values()]
        variables = [f["Environment"]["Variables"] for f in functions if "Environment" in f]
        return [names["RDS_ENGINE"] for names in variables if "RDS_ENDPOINT" in names]

    assert (told(stage), told(mysql)) == (["postgres"] * 3, ["mysql"] * 3)


def test_another_engine_is_reported_as_another_database(prod: Stage, mysql: Stage) -> None:
    (database_id,) = prod.resources(DATABASE)
    replaced = replacements(prod.templates["Data"], mysql.templates["Data"])
    assert f"{database_id} ({DATABASE}): Engine changes" in replaced


def test_engines_differ_in_nothing_but_the_table(prod: Stage, mysql: Stage) -> None:
    before, after = prod.properties(DATABASE), mysql.properties(DATABASE)
    differing = {name for name in before | after if before.get(name) != after.get(name)}
    assert differing == {"Engine", "EngineVersion", "EnableCloudwatchLogsExports", "OptionGroupName"}


def test_prod_watches_the_database_closely(prod: Stage, mysql: Stage) -> None:
    assert mysql.properties(DATABASE)["DatabaseInsightsMode"] == "advanced"
    database = prod.properties(DATABASE)
    assert (database["DatabaseInsightsMode"], database["PerformanceInsightsRetentionPeriod"]) == ("advanced", 465)
    assert "DatabaseKey" in str(database["PerformanceInsightsKMSKeyId"])
    assert database["MonitoringInterval"] == 60


@pytest.mark.parametrize("instance_type", ["db.t4g.micro", "db.t4g.small", "db.t3.micro", "db.t3.small"])
def test_insights_on_a_class_that_has_none_are_refused(instance_type: str) -> None:
    message = f"insights must be off on instance_type {instance_type} with mysql, got: standard"
    stack = cdk.Stack()
    vpc = ec2.Vpc(stack, "Vpc")
    key = kms.Key(stack, "Key")
    with pytest.raises(PropError, match=re.escape(message)):
        Database(
            stack,
            "Database",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            security_group=ec2.SecurityGroup(stack, "Group", vpc=vpc),
            instance_identifier="any",
            instance_type=instance_type,
            database_name="any",
            encryption_key=key,
            log_settings=LogSettings(key=key, retention=logs.RetentionDays.ONE_WEEK),
            engine=DATABASE_ENGINES["mysql"],
            insights="standard",
        )


@pytest.mark.parametrize(("engine", "instance_type"), [("postgres", "db.t4g.micro"), ("mysql", "db.t4g.medium")])
def test_insights_are_allowed_on_a_class_that_has_them(engine: str, instance_type: str) -> None:
    stage = synthesize(
        "dev", database__engine=engine, database__insights="standard", database__instance_type=instance_type
    )
    assert stage.properties(DATABASE)["DatabaseInsightsMode"] == "standard"
