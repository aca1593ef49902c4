"""What AWS refuses and the stock emulator does not: a name that is taken, the deletion of what is protected.

And what AWS does now and then: fail a creation. A test names in a file the types whose next creation fails once.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.emulator.ministack import RESOURCE_HANDLERS, Created, Properties

# Names that are unique in account and region; CloudFormation makes them up where a template gives none.
NAMES: Mapping[str, str] = {
    "AWS::Backup::BackupVault": "BackupVaultName",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "Name",
    "AWS::ElastiCache::ReplicationGroup": "ReplicationGroupId",
    "AWS::KMS::Key": "KeyId",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::RDS::OptionGroup": "OptionGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::WAFv2::WebACL": "Name",
}
FAILURES = "failures.txt"  # in the emulator's directory, one type a line


def _protected_database(properties: Properties) -> bool:
    return str(properties.get("DeletionProtection")).lower() == "true"


def _protected_balancer(properties: Properties) -> bool:
    attributes = properties.get("LoadBalancerAttributes") or []
    return {"Key": "deletion_protection.enabled", "Value": "true"} in attributes


PROTECTED: Mapping[str, Callable[[Properties], bool]] = {
    "AWS::RDS::DBInstance": _protected_database,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _protected_balancer,
}


def register(directory: Path) -> None:
    """Wraps the handlers of those types, and so must come last. `directory` is the emulator's.

    Which names are taken is forgotten when the emulator ends.
    """
    for resource_type in {*NAMES, *PROTECTED}:
        RESOURCE_HANDLERS[resource_type] = _refusing(resource_type, directory / FAILURES)


def _refusing(resource_type: str, failures: Path) -> dict[str, Any]:
    stock = RESOURCE_HANDLERS[resource_type]
    name_property = NAMES.get(resource_type, "")
    is_protected = PROTECTED.get(resource_type)
    taken: dict[str, str] = {}  # physical id by name

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        _fail_if_asked(resource_type, failures)
        name = properties.get(name_property)
        if name in taken:
            raise ValueError(f"{resource_type} {name} already exists")
        physical_id, attributes = stock["create"](logical_id, properties, stack_name)
        if name:
            taken[name] = physical_id
        return physical_id, attributes

    def delete(physical_id: str, properties: Properties) -> None:
        if is_protected and is_protected(properties):
            raise ValueError(f"{resource_type} {physical_id} is protected from deletion")
        stock["delete"](physical_id, properties)
        for name in [name for name, owner in taken.items() if owner == physical_id]:
            del taken[name]

    return {**stock, "create": create, "delete": delete}


def _fail_if_asked(resource_type: str, failures: Path) -> None:
    asked = failures.read_text().split() if failures.exists() else []
    if resource_type in asked:
        asked.remove(resource_type)
        failures.write_text("\n".join(asked))
        raise ValueError(f"{resource_type}: this creation fails because a test asked for it")
