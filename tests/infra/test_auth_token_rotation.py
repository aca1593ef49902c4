"""The rotation of the AUTH token: who calls the function, when, and what it may do."""

from typing import Any

import pytest

from stacks.settings import ConfigError
from tests.infra.synthesis import Stage, nag_findings, synthesize
from tests.infra.test_app_tier import CALLED_BY_CODE, resources_by_action, statements

PREFIX = "AuthTokenRotation"
FUNCTION, PERMISSION = "AWS::Lambda::Function", "AWS::Lambda::Permission"
SCHEDULE, RULE = "AWS::SecretsManager::RotationSchedule", "AWS::Events::Rule"


def only_id(stage: Stage, resource_type: str, prefix: str = PREFIX) -> str:
    (logical_id,) = [name for name in stage.resources(resource_type) if name.startswith(prefix)]
    return logical_id


def permissions(stage: Stage) -> dict[str, dict[str, Any]]:
    """Who may invoke the function, by principal."""
    found = [r["Properties"] for name, r in stage.resources(PERMISSION).items() if name.startswith(PREFIX)]
    return {permission["Principal"]: permission for permission in found}


def test_token_is_rotated_every_thirty_days_and_not_by_a_deployment(prod: Stage) -> None:
    schedule = prod.properties(SCHEDULE)
    assert schedule["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert schedule["RotateImmediatelyOnUpdate"] is False
    assert schedule["SecretId"] == {"Ref": only_id(prod, "AWS::SecretsManager::Secret", "AuthToken")}
    assert schedule["RotationLambdaARN"] == {"Fn::GetAtt": [only_id(prod, FUNCTION), "Arn"]}


def test_schedule_comes_after_the_group_and_after_the_right_to_invoke(prod: Stage) -> None:
    (schedule,) = prod.resources(SCHEDULE).values()
    group = only_id(prod, "AWS::ElastiCache::ReplicationGroup", "Cache")
    from_secrets_manager = [
        name
        for name, r in prod.resources(PERMISSION).items()
        if r["Properties"]["Principal"] == "secretsmanager.amazonaws.com"
    ]
    assert {group, *from_secrets_manager} <= set(schedule["DependsOn"])


def test_secret_group_function_and_schedule_live_in_one_stack(prod: Stage) -> None:
    data = prod.templates["Data"]["Resources"]
    for resource_type in (SCHEDULE, "AWS::ElastiCache::ReplicationGroup"):
        assert set(prod.resources(resource_type)) <= set(data)
    assert {only_id(prod, FUNCTION), only_id(prod, "AWS::SecretsManager::Secret", "AuthToken")} <= set(data)


def test_only_secrets_manager_for_this_secret_and_the_rule_may_invoke_it(prod: Stage) -> None:
    found = permissions(prod)
    assert set(found) == {"secretsmanager.amazonaws.com", "events.amazonaws.com"}
    by_secret = found["secretsmanager.amazonaws.com"]
    assert by_secret["SourceArn"] == {"Ref": only_id(prod, "AWS::SecretsManager::Secret", "AuthToken")}
    assert by_secret["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert found["events.amazonaws.com"]["SourceArn"] == {"Fn::GetAtt": [only_id(prod, RULE), "Arn"]}


def test_rule_settles_every_five_minutes(prod: Stage) -> None:
    rule = prod.properties(RULE, PREFIX)
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(5 minutes)", "ENABLED")
    (target,) = rule["Targets"]
    assert (target["Input"], target["RetryPolicy"]["MaximumRetryAttempts"]) == ('{"settle":true}', 0)


def test_function_drains_for_a_quarter_of_an_hour_and_is_told_no_secret(prod: Stage) -> None:
    function = prod.properties(FUNCTION, PREFIX)
    variables = function["Environment"]["Variables"]
    assert set(variables) == {
        "ELASTICACHE_ENDPOINT",
        "ELASTICACHE_AUTH_SECRET_ARN",
        "ELASTICACHE_REPLICATION_GROUP_ID",
        "DRAIN_SECONDS",
    }
    assert variables["DRAIN_SECONDS"] == "900"
    assert "resolve:secretsmanager" not in str(function)
    assert function["ReservedConcurrentExecutions"] == 1


def test_function_may_change_one_group_and_one_secret(prod: Stage) -> None:
    allowed = resources_by_action(prod, PREFIX)
    group = allowed.pop("elasticache:DescribeReplicationGroups+elasticache:ModifyReplicationGroup")
    assert ":replicationgroup:" in group
    secret = allowed.pop(
        "+".join(
            f"secretsmanager:{action}"
            for action in ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage")
        )
    )
    assert "AuthToken" in secret
    assert "CacheKey" in allowed.pop("kms:Decrypt+kms:GenerateDataKey")
    assert "RotationEnvironmentKey" in allowed.pop("kms:Decrypt")
    ((without_a_resource, any_resource),) = [item for item in allowed.items() if "GetRandomPassword" in item[0]]
    assert any_resource == "*"
    services = {action.partition(":")[0] for action in without_a_resource.split("+")}
    assert services == {"ec2", "secretsmanager", "xray"}
    others = {actions for actions in allowed if not actions.startswith("ec2:")} - {without_a_resource}
    assert others == {"logs:CreateLogStream+logs:PutLogEvents"}


def test_network_rights_of_a_changed_group_are_for_elasticache_alone(prod: Stage) -> None:
    (statement,) = [s for s in statements(prod, PREFIX) if "ec2:DescribeVpcs" in s["Action"]]
    assert statement["Condition"] == {"ForAnyValue:StringEquals": {"aws:CalledVia": "elasticache.amazonaws.com"}}


def test_code_of_the_function_cannot_use_its_network_rights(prod: Stage) -> None:
    (denied,) = [statement for statement in statements(prod, PREFIX) if statement["Effect"] == "Deny"]
    assert denied["Condition"] == CALLED_BY_CODE
    assert all(action.startswith("ec2:") for action in denied["Action"])


def test_key_of_the_token_is_used_for_that_secret_only(prod: Stage) -> None:
    (statement,) = [s for s in statements(prod, PREFIX) if "kms:GenerateDataKey" in s["Action"]]
    condition = statement["Condition"]["StringEquals"]
    assert "AuthToken" in str(condition["kms:EncryptionContext:SecretARN"])
    assert "secretsmanager." in str(condition["kms:ViaService"])


def test_code_of_the_function_is_that_of_the_app(prod: Stage) -> None:
    assert prod.properties(FUNCTION, PREFIX)["Code"] == prod.properties(FUNCTION, "ServiceFunction")["Code"]


def test_dev_rotates_nothing_until_it_is_told_to(dev: Stage) -> None:
    assert dev.resources(SCHEDULE) == {}
    rotating = synthesize("dev", cache__auth_token_rotation_days="7")
    assert rotating.properties(SCHEDULE)["RotationRules"] == {"AutomaticallyAfterDays": 7}
    assert nag_findings(rotating.app) == []
    assert rotating.properties("AWS::ElastiCache::ReplicationGroup") == dev.properties(
        "AWS::ElastiCache::ReplicationGroup"
    )


def test_a_period_that_nobody_audited_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cache\.auth_token_rotation_days=365"):
        synthesize("prod", cache__auth_token_rotation_days="365")


def test_reference_to_the_token_is_the_same_in_every_synthesis(prod: Stage) -> None:
    again = synthesize("prod", cache__node_type="cache.r7g.xlarge", cache__auth_token_rotation_days="90")
    cache = "AWS::ElastiCache::ReplicationGroup"
    assert again.properties(cache)["AuthToken"] == prod.properties(cache)["AuthToken"]
