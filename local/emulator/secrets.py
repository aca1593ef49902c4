"""Secrets whose Ref is their ARN, as in AWS; the stock emulator answers with the name."""

from local.emulator.ministack import RESOURCE_HANDLERS, Created, Properties, secrets_manager

_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a type, not a secret


def register() -> None:
    """Replaces the stock handlers."""
    stock = RESOURCE_HANDLERS[_SECRET]

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        return _by_arn(stock["create"](logical_id, properties, stack_name))

    def update(physical_id: str, old: Properties, new: Properties, *rest: str) -> Created:
        return _by_arn(stock["update"](_name(physical_id), old, new, *rest))

    def delete(physical_id: str, properties: Properties) -> None:
        stock["delete"](_name(physical_id), properties)

    RESOURCE_HANDLERS[_SECRET] = {**stock, "create": create, "update": update, "delete": delete}


def _by_arn(created: Created) -> Created:
    _, attributes = created
    return attributes["Arn"], attributes


def _name(arn: str) -> str:
    return str(secrets_manager._resolve(arn)[0])
