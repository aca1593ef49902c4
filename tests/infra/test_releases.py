"""How a release reaches the users: a version, an alias, and CodeDeploy between them."""

import re
from importlib import metadata
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_

from constructs_lib.compute.live_alias import DIGEST_VARIABLE, LiveAlias, digest
from tests.infra.synthesis import Stage, synthesize

ALIAS, VERSION, FUNCTION = "AWS::Lambda::Alias", "AWS::Lambda::Version", "AWS::Lambda::Function"
GROUP = "AWS::CodeDeploy::DeploymentGroup"


def only(stage: Stage, resource_type: str, prefix: str) -> tuple[str, dict[str, Any]]:
    """The logical id and the resource, of which there is one."""
    (found,) = [(i, r) for i, r in stage.resources(resource_type).items() if i.startswith(prefix)]
    return found


@pytest.mark.parametrize("prefix", ["Service", "InvalidationRelay"])
def test_alias_is_on_the_version_that_the_deployment_publishes(stage: Stage, prefix: str) -> None:
    version_id, version = only(stage, VERSION, prefix)
    function_id, _ = only(stage, FUNCTION, f"{prefix}Function")
    _, alias = only(stage, ALIAS, prefix)
    assert alias["Properties"]["FunctionVersion"] == {"Fn::GetAtt": [version_id, "Version"]}
    assert alias["Properties"]["Name"] == "live"
    assert version["Properties"]["FunctionName"] == {"Ref": function_id}


@pytest.mark.parametrize("prefix", ["Service", "InvalidationRelay"])
def test_migration_precedes_the_version_and_so_the_alias(stage: Stage, prefix: str) -> None:
    (migration_id,) = stage.resources("Custom::SchemaMigration")
    _, version = only(stage, VERSION, prefix)
    assert migration_id in version["DependsOn"]


def test_migration_and_rotation_have_no_version(prod: Stage) -> None:
    assert [re.sub("Function.*", "", i) for i in prod.resources(VERSION)] == ["Service", "InvalidationRelay"]
    (schedule,) = prod.resources("AWS::SecretsManager::RotationSchedule").values()
    (rotation_id,) = [i for i in prod.resources(FUNCTION) if i.startswith("AuthTokenRotation")]
    assert schedule["Properties"]["RotationLambdaARN"] == {"Fn::GetAtt": [rotation_id, "Arn"]}


def test_load_balancer_sends_requests_to_the_alias_alone(stage: Stage) -> None:
    alias_id, _ = only(stage, ALIAS, "Service")
    target_group = stage.properties("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert target_group["Targets"] == [{"Id": {"Ref": alias_id}}]
    permitted = [p["Properties"]["FunctionName"] for p in stage.resources("AWS::Lambda::Permission").values()]
    function_ids = [only(stage, FUNCTION, f"{prefix}Function")[0] for prefix in ("Service", "InvalidationRelay")]
    assert {"Ref": alias_id} in permitted
    assert not any(function_id in str(name) for name in permitted for function_id in function_ids)


def test_codedeploy_moves_prods_alias_and_moves_it_back_when_an_alarm_rings(prod: Stage) -> None:
    group_id, group = only(prod, GROUP, "")
    (application_id,) = prod.resources("AWS::CodeDeploy::Application")
    _, alias = only(prod, ALIAS, "Service")
    update = {"ApplicationName": {"Ref": application_id}, "DeploymentGroupName": {"Ref": group_id}}
    assert alias["UpdatePolicy"] == {"CodeDeployLambdaAliasUpdate": update}
    properties = group["Properties"]
    assert properties["DeploymentConfigName"] == "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
    assert properties["AlarmConfiguration"]["Enabled"] is True
    alarms = [re.sub("[0-9A-F]{8}$", "", a["Name"]["Ref"]) for a in properties["AlarmConfiguration"]["Alarms"]]
    assert alarms == ["ServiceAlarmsAppErrors", "ServiceAlarmsLoadBalancerErrors", "ServiceAlarmsCrashes"]
    assert properties["AutoRollbackConfiguration"]["Enabled"] is True
    assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]


def test_alias_of_the_relay_moves_at_once(prod: Stage) -> None:
    assert "UpdatePolicy" not in only(prod, ALIAS, "InvalidationRelay")[1]


def test_direct_release_passes_the_alarms_by(prod: Stage) -> None:
    direct = synthesize("prod", app__release="direct")
    assert direct.resources(GROUP) == {}
    assert "UpdatePolicy" not in only(direct, ALIAS, "Service")[1]
    assert only(direct, VERSION, "Service")[0] == only(prod, VERSION, "Service")[0]


def release(*late: object) -> tuple[str, str]:
    """The digest and the logical id of the version, of a function that is always the same but for `late`."""
    stack = cdk.Stack(cdk.App(context={"@aws-cdk/aws-lambda:recognizeLayerVersion": True}), "Stack")
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_inline("pass"),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_14,
        environment={DIGEST_VARIABLE: digest(stack, *late)},
    )
    LiveAlias(stack, "Live", function=function)
    resources = stack.node.root.synth().get_stack_artifact("Stack").template["Resources"]  # type: ignore[attr-defined]
    (version,) = [i for i, r in resources.items() if r["Type"] == VERSION]
    (found,) = [r for r in resources.values() if r["Type"] == FUNCTION]
    return found["Properties"]["Environment"]["Variables"][DIGEST_VARIABLE], version


def test_replaced_cache_makes_a_new_version_though_its_endpoint_reads_the_same() -> None:
    before, after = (release({"kms_key_id": key}) for key in ("one", "another"))
    assert release({"kms_key_id": "one"}) == before
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_another_release_of_cdk_changes_the_function_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = release()
    monkeypatch.setattr("constructs_lib.compute.live_alias.version", lambda _: "2.999.0")
    assert metadata.version("aws-cdk-lib") != "2.999.0"
    after = release()
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_digest_of_the_stages_follows_what_replaces_cache_and_database(prod: Stage, mysql: Stage) -> None:
    def found(stage: Stage) -> str:
        _, function = only(stage, FUNCTION, "ServiceFunction")
        return str(function["Properties"]["Environment"]["Variables"][DIGEST_VARIABLE])

    larger = synthesize("prod", cache__node_type="cache.r7g.xlarge")  # changes in place
    assert found(larger) == found(prod)
    assert found(prod) != found(synthesize("dev"))
    assert re.fullmatch("[0-9a-f]{16}", found(mysql))
