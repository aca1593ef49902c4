"""What an update of a template would replace, by the create-only lists of the CloudFormation resource schemas."""

from collections.abc import Iterator
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from tests.infra.synthesis import Template

STATEFUL = (
    "AWS::Backup::BackupVault",
    "AWS::EC2::Subnet",
    "AWS::EC2::VPC",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::ElastiCache::SubnetGroup",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
)


def replacements(before: Template, after: Template) -> list[str]:
    """The stateful resources of `before` that `after` deletes or may replace, each with the reason."""
    return [
        f"{logical_id} ({resource['Type']}): {reason}"
        for logical_id, resource in before["Resources"].items()
        if resource["Type"] in STATEFUL
        for reason in _reasons(resource, after["Resources"].get(logical_id))
    ]


def _reasons(before: dict[str, Any], after: dict[str, Any] | None) -> Iterator[str]:
    if after is None or after["Type"] != before["Type"]:
        yield "is gone"
        return
    for name in create_only(before["Type"]):
        if before.get("Properties", {}).get(name) != after.get("Properties", {}).get(name):
            yield f"{name} changes"


def create_only(resource_type: str) -> list[str]:
    """Properties that CloudFormation changes only by replacing the resource, always or in some cases."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type).schema
    pointers = [*schema.get("createOnlyProperties", []), *schema.get("conditionalCreateOnlyProperties", [])]
    return [pointer.split("/")[2] for pointer in pointers]
