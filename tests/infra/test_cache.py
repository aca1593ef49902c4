"""The replication group and its L2."""

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from constructs_lib import AuthToken, LogSettings, PropError, ReplicationGroup
from tests.infra.synthesis import Stage

CACHE = "AWS::ElastiCache::ReplicationGroup"


def make_cache(**props: Any) -> ReplicationGroup:
    """A cache in a stack of its own, with nothing said that may be left out."""
    stack = cdk.Stack()
    vpc = ec2.Vpc(stack, "Vpc")
    key = kms.Key(stack, "Key")
    token = AuthToken(stack, "Token", encryption_key=key, removal_policy=cdk.RemovalPolicy.DESTROY)
    return ReplicationGroup(
        stack,
        "Cache",
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
        security_group=ec2.SecurityGroup(stack, "Group", vpc=vpc),
        node_type="cache.t4g.micro",
        encryption_key=key,
        log_settings=LogSettings(key=key, retention=logs.RetentionDays.ONE_WEEK),
        **{"auth_token": token, **props},
    )


def test_prod_has_a_primary_and_two_replicas_that_take_over(prod: Stage) -> None:
    cache = prod.properties(CACHE)
    assert (cache["NumCacheClusters"], cache["AutomaticFailoverEnabled"], cache["MultiAZEnabled"]) == (3, True, True)
    assert cache["SnapshotRetentionLimit"] == 15


def test_dev_has_one_node(dev: Stage) -> None:
    cache = dev.properties(CACHE)
    assert (cache["NumCacheClusters"], cache["AutomaticFailoverEnabled"], cache["MultiAZEnabled"]) == (1, False, False)


def test_cache_is_redis_7_1_with_its_parameter_group(stage: Stage) -> None:
    cache = stage.properties(CACHE)
    parameters = stage.properties("AWS::ElastiCache::ParameterGroup")
    assert (cache["Engine"], cache["EngineVersion"]) == ("redis", "7.1")
    assert parameters["CacheParameterGroupFamily"] == "redis7"
    assert parameters["Properties"] == {"maxmemory-policy": "allkeys-lru", "reserved-memory-percent": "25"}


def test_tls_and_encryption_at_rest_are_required(stage: Stage) -> None:
    cache = stage.properties(CACHE)
    assert (cache["TransitEncryptionEnabled"], cache["TransitEncryptionMode"]) == (True, "required")
    assert cache["AtRestEncryptionEnabled"] is True
    assert "CacheKey" in str(cache["KmsKeyId"])
    assert cache["Port"] == 6379


def test_auth_token_is_generated_and_only_referenced(stage: Stage) -> None:
    generated = stage.properties("AWS::SecretsManager::Secret", "AuthToken")["GenerateSecretString"]
    assert generated == {"ExcludePunctuation": True, "IncludeSpace": False, "PasswordLength": 64}
    reference = json.dumps(stage.properties(CACHE)["AuthToken"])
    assert "{{resolve:secretsmanager:" in reference
    assert ":SecretString:::}}" in reference


def test_slow_and_engine_log_go_to_groups_of_their_own(stage: Stage) -> None:
    deliveries = stage.properties(CACHE)["LogDeliveryConfigurations"]
    groups = {d["LogType"]: d["DestinationDetails"]["CloudWatchLogsDetails"]["LogGroup"]["Ref"] for d in deliveries}
    assert set(groups) == {"slow-log", "engine-log"}
    assert len(set(groups.values())) == 2


def test_prod_keeps_a_final_snapshot_and_dev_does_not(prod: Stage, dev: Stage) -> None:
    def policies(stage: Stage) -> list[str]:
        (cache,) = stage.resources(CACHE).values()
        return [cache["DeletionPolicy"], cache["UpdateReplacePolicy"]]

    assert policies(prod) == ["Snapshot", "Snapshot"]
    assert policies(dev) == ["Delete", "Delete"]


def test_operators_may_describe_the_group_and_its_nodes_only(stage: Stage) -> None:
    statements = stage.properties("AWS::IAM::ManagedPolicy", "Operations")["PolicyDocument"]["Statement"]
    described = {s["Action"]: s["Resource"]["Fn::Join"][1] for s in statements}
    assert set(described) == {"elasticache:DescribeReplicationGroups", "elasticache:DescribeCacheClusters"}
    (cache_id,) = stage.resources(CACHE)
    assert described["elasticache:DescribeReplicationGroups"][-2:] == [":replicationgroup:", {"Ref": cache_id}]
    assert described["elasticache:DescribeCacheClusters"][-3:] == [":cluster:", {"Ref": cache_id}, "-*"]


def test_connections_carry_the_default_port() -> None:
    cache = make_cache()
    client = ec2.SecurityGroup(cache.stack, "Client", vpc=ec2.Vpc(cache.stack, "Other"), allow_all_outbound=False)
    client.connections.allow_to_default_port(cache)
    template = cdk.assertions.Template.from_stack(cache.stack)
    template.has_resource_properties("AWS::EC2::SecurityGroupIngress", {"FromPort": 6379, "ToPort": 6379})


def test_a_metric_names_the_node_and_its_statistic() -> None:
    cache = make_cache(nodes=2)
    metric = cache.metric_replication_lag()
    dimensions = metric.dimensions
    assert dimensions is not None
    assert cache.stack.resolve(dimensions["CacheClusterId"])["Fn::Join"][1][1] == "-002"
    assert (metric.namespace, metric.metric_name, metric.statistic) == ("AWS/ElastiCache", "ReplicationLag", "Maximum")
    assert metric.period.to_seconds() == 60


@pytest.mark.parametrize(
    ("metric", "name", "statistic"),
    [
        ("metric_engine_cpu_utilization", "EngineCPUUtilization", "Average"),
        ("metric_database_memory_usage_percentage", "DatabaseMemoryUsagePercentage", "Maximum"),
        ("metric_curr_connections", "CurrConnections", "Maximum"),
        ("metric_evictions", "Evictions", "Sum"),
    ],
)
def test_named_metrics_state_their_statistic(metric: str, name: str, statistic: str) -> None:
    found = getattr(make_cache(), metric)()
    assert (found.metric_name, found.statistic) == (name, statistic)


def test_a_metric_of_a_missing_node_is_refused() -> None:
    with pytest.raises(PropError, match="node must be 1 to 1, got: 2"):
        make_cache().metric_replication_lag()


@pytest.mark.parametrize(
    ("props", "message"),
    [
        ({"nodes": 7}, "nodes must be 1 to 6, got: 7"),
        ({"nodes": 1, "multi_az": True}, "multi_az needs nodes to be at least 2, got: 1"),
    ],
)
def test_a_number_of_nodes_that_aws_refuses_is_refused_at_once(props: dict[str, Any], message: str) -> None:
    with pytest.raises(PropError, match=message):
        make_cache(**props)


def test_without_a_word_the_data_is_kept() -> None:
    cache = make_cache()
    cdk.assertions.Template.from_stack(cache.stack).has_resource(
        CACHE, {"DeletionPolicy": "Snapshot", "UpdateReplacePolicy": "Snapshot"}
    )
