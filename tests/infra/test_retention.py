"""What outlives its stack, and that a creation that fails leaves nothing behind."""

from collections import Counter

import aws_cdk as cdk
import pytest

from tests.infra.synthesis import Stage, synthesize

SNAPSHOT = {
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::RDS::DBInstance",
}  # neither has another way to outlive its stack
KEPT = {
    "AWS::Backup::BackupVault": 1,
    "AWS::KMS::Key": 3,  # of cache, database and logs; those of environments encrypt nothing that outlives a function
    "AWS::S3::Bucket": 1,
    "AWS::SecretsManager::Secret": 2,
}


def policies(stage: Stage, policy: str) -> Counter[str]:
    """How many resources of each type have this deletion policy."""
    resources = (resource for template in stage.templates.values() for resource in template["Resources"].values())
    return Counter(resource["Type"] for resource in resources if resource.get("DeletionPolicy") == policy)


def test_nothing_is_plainly_retained(any_stage: Stage) -> None:
    assert policies(any_stage, "Retain") == {}


def test_what_prod_keeps_goes_with_a_failed_creation(prod: Stage, mysql: Stage) -> None:
    kept = policies(prod, "RetainExceptOnCreate")
    assert {resource_type: kept[resource_type] for resource_type in KEPT} == KEPT
    assert kept.keys() == {*KEPT, "AWS::Logs::LogGroup"}
    assert policies(mysql, "RetainExceptOnCreate")["AWS::RDS::OptionGroup"] == 1


def test_database_and_cache_of_prod_leave_a_final_snapshot(prod: Stage) -> None:
    assert policies(prod, "Snapshot").keys() == SNAPSHOT


def test_dev_keeps_only_its_access_logs(dev: Stage) -> None:
    assert policies(dev, "RetainExceptOnCreate") == {"AWS::S3::Bucket": 1}
    assert policies(dev, "Snapshot") == {}


def test_what_is_being_created_can_be_deleted(prod: Stage) -> None:
    assert protections(prod) == (True, "true")
    assert protections(synthesize("prod", creating="network,data,app")) == (False, "false")
    assert protections(synthesize("prod", creating="app")) == (True, "false")


def test_a_stack_that_is_being_created_can_be_deleted_and_no_other(prod: Stage) -> None:
    assert deletion_refused(prod) == {"Network", "Data", "App"}
    assert deletion_refused(synthesize("prod", creating="network,data,app")) == set()
    assert deletion_refused(synthesize("prod", creating="app")) == {"Network", "Data"}


def deletion_refused(stage: Stage) -> set[str]:
    stacks = [child for child in stage.app.node.children if isinstance(child, cdk.Stack)]
    return {stack.node.id for stack in stacks if stack.termination_protection}


def protections(stage: Stage) -> tuple[bool, str]:
    """The deletion protection of database and load balancer."""
    (balancer,) = stage.resources("AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    attributes = {item["Key"]: item["Value"] for item in balancer["Properties"]["LoadBalancerAttributes"]}
    return (
        stage.properties("AWS::RDS::DBInstance")["DeletionProtection"],
        attributes["deletion_protection.enabled"],
    )


@pytest.mark.parametrize("creating", ["network,data,app", "app"])
def test_no_pack_complains_about_a_stage_that_is_being_created(creating: str) -> None:
    assert synthesize("prod", creating=creating).findings() == []
