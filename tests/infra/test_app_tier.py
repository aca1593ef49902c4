"""The function that serves, the migration before it, the relay beside it, and the load balancer in front."""

from typing import Any

import pytest

from tests.infra.synthesis import Stage, synthesize

FUNCTION = "AWS::Lambda::Function"
CALLED_BY_CODE = {"Null": {"lambda:SourceFunctionArn": "false"}, "BoolIfExists": {"aws:ViaAWSService": "false"}}
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"


def statements(stage: Stage, prefix: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.properties("AWS::IAM::ManagedPolicy", prefix)["PolicyDocument"]["Statement"]
    return found


def resources_by_action(stage: Stage, prefix: str) -> dict[str, str]:
    """What a role may do, and to what; the actions that name no resource are one entry."""
    return {
        str(statement["Action"]) if isinstance(statement["Action"], str) else "+".join(statement["Action"]): str(
            statement["Resource"]
        )
        for statement in statements(stage, prefix)
        if statement["Effect"] == "Allow"
    }


def attributes(stage: Stage) -> dict[str, Any]:
    balancer = stage.properties("AWS::ElasticLoadBalancingV2::LoadBalancer")
    return {attribute["Key"]: attribute["Value"] for attribute in balancer["LoadBalancerAttributes"]}


def test_prod_listens_on_443_with_a_strong_policy_and_nothing_else(prod: Stage) -> None:
    listener = prod.properties(LISTENER)
    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert listener["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"


def test_dev_without_a_certificate_listens_on_80(dev: Stage) -> None:
    assert (dev.properties(LISTENER)["Port"], dev.properties(LISTENER)["Protocol"]) == (80, "HTTP")


def test_a_domain_name_gets_a_certificate_and_a_record() -> None:
    stage = synthesize("dev", domain_name="shop.example.com", hosted_zone_id="Z0123456789")
    assert stage.properties("AWS::CertificateManager::Certificate")["DomainName"] == "shop.example.com"
    record = stage.properties("AWS::Route53::RecordSet")
    assert (record["Name"], record["Type"], record["HostedZoneId"]) == ("shop.example.com.", "A", "Z0123456789")
    assert stage.templates["App"]["Outputs"]["LoadBalancerUrl"]["Value"] == "https://shop.example.com"
    assert stage.properties(LISTENER)["Port"] == 443


def test_load_balancer_refuses_odd_requests_and_keeps_access_logs(stage: Stage) -> None:
    found = attributes(stage)
    assert found["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert found["routing.http.desync_mitigation_mode"] == "defensive"
    assert found["access_logs.s3.enabled"] == "true"
    assert found["deletion_protection.enabled"] == {"dev": "false", "prod": "true"}[stage.name]


def test_load_balancer_does_not_say_what_it_is(stage: Stage) -> None:
    found = stage.properties(LISTENER)["ListenerAttributes"]
    assert found == [{"Key": "routing.http.response.server.enabled", "Value": "false"}]


def test_functions_run_the_newest_python_on_arm_with_json_logs_and_tracing(stage: Stage) -> None:
    for prefix in ("ServiceFunction", "SchemaMigrationFunction", "InvalidationRelayFunction"):
        function = stage.properties(FUNCTION, prefix)
        assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["arm64"])
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert all("AppSubnet" in str(subnet) for subnet in function["VpcConfig"]["SubnetIds"])


def test_architecture_and_python_are_settings() -> None:
    stage = synthesize("dev", app__architecture="x86_64", app__python="3.12")
    function = stage.properties(FUNCTION, "ServiceFunction")
    assert (function["Runtime"], function["Architectures"]) == ("python3.12", ["x86_64"])


def test_concurrency_is_reserved_in_prod_only(prod: Stage, dev: Stage) -> None:
    assert prod.properties(FUNCTION, "ServiceFunction")["ReservedConcurrentExecutions"] == 100
    assert "ReservedConcurrentExecutions" not in dev.properties(FUNCTION, "ServiceFunction")


@pytest.mark.parametrize("prefix", ["ServiceFunction", "InvalidationRelayFunction"])
def test_app_is_told_where_everything_is_and_no_secret(stage: Stage, prefix: str) -> None:
    variables = stage.properties(FUNCTION, prefix)["Environment"]["Variables"]
    assert set(variables) == {
        "ELASTICACHE_ENDPOINT",
        "ELASTICACHE_AUTH_SECRET_ARN",
        "RDS_ENGINE",
        "RDS_ENDPOINT",
        "RDS_DB_NAME",
        "RDS_USER",
        "METRIC_NAMESPACE",
        "CONFIGURATION_DIGEST",
    }
    assert "PrimaryEndPointAddress" in str(variables["ELASTICACHE_ENDPOINT"])
    assert "PrimaryEndPointPort" in str(variables["ELASTICACHE_ENDPOINT"])
    assert "resolve:secretsmanager" not in str(stage.templates["App"])


@pytest.mark.parametrize("prefix", ["ServiceFunctionRole", "InvalidationRelayFunctionRole"])
def test_app_may_read_the_token_and_connect_as_one_user_and_no_more(stage: Stage, prefix: str) -> None:
    allowed = resources_by_action(stage, prefix)
    assert {actions for actions in allowed if not actions.startswith("ec2:")} == {
        "logs:CreateLogStream+logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "kms:Decrypt",
        "rds-db:connect",
    }
    assert "AuthToken" in allowed["secretsmanager:GetSecretValue"]
    assert "CacheKey" in allowed["kms:Decrypt"]
    assert "DbiResourceId" in allowed["rds-db:connect"]
    assert "/storefront_app" in allowed["rds-db:connect"]


@pytest.mark.parametrize(
    "prefix", ["ServiceFunctionRole", "SchemaMigrationFunctionRole", "InvalidationRelayFunctionRole"]
)
def test_interfaces_are_made_in_the_apps_subnets_with_its_group_alone(stage: Stage, prefix: str) -> None:
    allowed = resources_by_action(stage, prefix)
    zones = {"dev": 2, "prod": 3}[stage.name]
    created = allowed["ec2:CreateNetworkInterface"]
    assert created.count(":subnet/") == created.count("AppSubnet") == zones
    assert created.count(":security-group/") == created.count("AppSG") == 1
    assert created.count(":network-interface/*") == 1
    assert allowed["ec2:DeleteNetworkInterface"].endswith(":*/*']]}")
    addresses = allowed["ec2:AssignPrivateIpAddresses+ec2:UnassignPrivateIpAddresses"]
    assert addresses.endswith(":network-interface/*']]}")
    (anything,) = [actions for actions, resource in allowed.items() if resource == "*"]
    assert set(anything.split("+")) == {
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_load_balancer_may_invoke_for_its_own_target_group_alone(stage: Stage) -> None:
    name = stage.properties("AWS::ElasticLoadBalancingV2::TargetGroup")["Name"]
    assert name == f"cache-aside-{stage.name}-app"
    source = stage.properties("AWS::Lambda::Permission", "ServiceLiveLoadBalancer")["SourceArn"]
    assert str(source["Fn::Join"][1][-1]).endswith(f":targetgroup/{name}/*")


def test_only_the_migration_may_read_the_master_password(stage: Stage) -> None:
    readers = [
        logical_id
        for logical_id, policy in stage.resources("AWS::IAM::ManagedPolicy").items()
        if "MasterUserSecret" in str(policy["Properties"]["PolicyDocument"])
    ]
    assert len(readers) == 1
    assert readers[0].startswith("SchemaMigrationFunctionRole")


def test_code_inside_a_function_cannot_use_its_network_rights(stage: Stage) -> None:
    for prefix in ("ServiceFunctionRole", "SchemaMigrationFunctionRole", "InvalidationRelayFunctionRole"):
        (denied,) = [statement for statement in statements(stage, prefix) if statement["Effect"] == "Deny"]
        assert denied["Condition"] == CALLED_BY_CODE
        assert all(action.startswith("ec2:") for action in denied["Action"])


@pytest.mark.parametrize("prefix", ["ServiceFunction", "InvalidationRelayFunction"])
def test_schema_is_migrated_before_the_app_serves(stage: Stage, prefix: str) -> None:
    (migration_id,) = stage.resources("Custom::SchemaMigration")
    (function,) = [r for i, r in stage.resources(FUNCTION).items() if i.startswith(prefix)]
    assert migration_id in function["DependsOn"]


def test_relay_runs_every_minute_and_a_failed_run_is_not_repeated(stage: Stage) -> None:
    (alias_id,) = [i for i in stage.resources("AWS::Lambda::Alias") if i.startswith("InvalidationRelay")]
    rule = stage.properties("AWS::Events::Rule", "InvalidationRelay")
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 minute)", "ENABLED")
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Ref": alias_id}
    assert target["RetryPolicy"]["MaximumRetryAttempts"] == 0
    invocation = stage.properties("AWS::Lambda::EventInvokeConfig")
    assert (invocation["MaximumRetryAttempts"], alias_id in str(invocation["Qualifier"])) == (0, True)
    permission = stage.properties("AWS::Lambda::Permission", "InvalidationRelay")
    assert (permission["FunctionName"], permission["Principal"]) == (target["Arn"], "events.amazonaws.com")


def test_relay_is_the_code_of_the_app(stage: Stage) -> None:
    service, relay = (stage.properties(FUNCTION, prefix) for prefix in ("ServiceFunction", "InvalidationRelayFunction"))
    assert service["Code"] == relay["Code"]


def test_migration_runs_again_when_the_migrations_change(stage: Stage) -> None:
    migration = stage.properties("Custom::SchemaMigration")
    assert len(migration["SchemaHash"]) == 64
    assert migration["SampleData"] == {"dev": "true", "prod": "false"}[stage.name]


def test_framework_of_the_migration_stays_outside_the_vpc(stage: Stage) -> None:
    framework = stage.properties(FUNCTION, "SchemaMigrationProvider")
    assert "VpcConfig" not in framework


def test_first_operator_gets_a_generated_password(stage: Stage) -> None:
    secret = stage.properties("AWS::SecretsManager::Secret", "SchemaMigrationFirstOperator")["GenerateSecretString"]
    assert (secret["SecretStringTemplate"], secret["GenerateStringKey"]) == ('{"username": "operator"}', "password")


def test_outputs_name_what_a_reader_needs(stage: Stage) -> None:
    assert {"LoadBalancerUrl", "FunctionName", "FirstOperatorSecretArn"} <= set(stage.templates["App"]["Outputs"])
    assert {
        "ElastiCacheEndpoint",
        "ElastiCacheReaderEndpoint",
        "RdsEndpoint",
        "AuthTokenSecretArn",
        "OperationsPolicyArn",
    } <= set(stage.templates["Data"]["Outputs"])
