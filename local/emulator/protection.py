"""Resources that protect or report in AWS, recorded without effect: the stock emulator lacks them, or part of them."""

from typing import Any

from local.emulator.ministack import RESOURCE_HANDLERS, Created, Properties, provisioners

_TYPES = (
    "AWS::Backup::BackupSelection",
    "AWS::CloudWatch::Alarm",  # the stock one refuses metric math
    "AWS::RDS::EventSubscription",
    "AWS::RDS::OptionGroup",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::WAFv2::LoggingConfiguration",
    "AWS::WAFv2::WebACLAssociation",
)


def register() -> None:
    """Adds the types."""
    for resource_type in _TYPES:
        RESOURCE_HANDLERS[resource_type] = {"create": _create, "update": _update, "delete": _delete}


def _create(logical_id: str, _properties: Properties, _stack_name: str) -> Created:
    physical_id = f"{logical_id}-{provisioners.new_uuid()}"
    return physical_id, {"Id": physical_id}


def _update(physical_id: str, _old: Properties, _new: Properties, *_rest: Any) -> Created:
    return physical_id, {"Id": physical_id}


def _delete(_physical_id: str, _properties: Properties) -> None:
    """Nothing was made."""
