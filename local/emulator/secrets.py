"""Secrets as in AWS: their Ref is their ARN, and a generated one has no punctuation where the template excludes it.

The stock emulator answers with the name, and ignores ExcludePunctuation.
"""

import string

from local.emulator.ministack import RESOURCE_HANDLERS, Created, Properties, secrets_manager

_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a type, not a secret


def register() -> None:
    """Replaces the stock handlers."""
    stock = RESOURCE_HANDLERS[_SECRET]

    def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        return _by_arn(stock["create"](logical_id, _without_punctuation(properties), stack_name))

    def update(physical_id: str, old: Properties, new: Properties, *rest: str) -> Created:
        return _by_arn(stock["update"](_name(physical_id), old, new, *rest))

    def delete(physical_id: str, properties: Properties) -> None:
        stock["delete"](_name(physical_id), properties)

    RESOURCE_HANDLERS[_SECRET] = {**stock, "create": create, "update": update, "delete": delete}


def _without_punctuation(properties: Properties) -> Properties:
    generate = properties.get("GenerateSecretString")
    if not generate or not generate.get("ExcludePunctuation"):
        return properties
    excluded = generate.get("ExcludeCharacters", "") + string.punctuation
    return {**properties, "GenerateSecretString": {**generate, "ExcludeCharacters": excluded}}


def _by_arn(created: Created) -> Created:
    _, attributes = created
    return attributes["Arn"], attributes


def _name(arn: str) -> str:
    return str(secrets_manager._resolve(arn)[0])
