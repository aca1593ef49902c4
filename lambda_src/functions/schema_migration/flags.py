"""The feature flags of a release: flags.json declares them, and every deployment makes them so.

A flag is set when its declaration is another than the last deployment's, so that what an operator has changed since
outlives deployments that do not touch that flag. One that is no longer declared stays as it is: the release before may
still ask for it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from cache_aside import OutboxRow
from functions.schema_migration.settings import MigrationError
from storefront.database import Connection
from storefront.policies import flag_key
from storefront.repositories.outbox import record

FILE = Path(__file__).with_name("flags.json")


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says of a flag."""

    enabled: bool
    rollout_percent: Annotated[int, Meta(ge=0, le=100)]


_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(?!\n)$")]


def read_declarations(file: Path) -> dict[str, Declaration]:
    """The flags of the file by name. MigrationError names the flag that is wrong, and says how."""
    try:
        declared = json.loads(file.read_bytes(), object_pairs_hook=_once_each)
    except ValueError as error:
        raise MigrationError(f"{file.name}: {error}") from None
    if not isinstance(declared, dict):
        raise MigrationError(f"{file.name}: expected an object of flags by name")
    return {
        _checked(file, name, _Name, name): _checked(file, name, Declaration, said) for name, said in declared.items()
    }


def apply(connection: Connection, declarations: Mapping[str, Declaration]) -> list[OutboxRow]:
    """Sets the flags whose declaration is new; returns what that made obsolete, recorded in the same transaction."""
    changed = [name for name, said in sorted(declarations.items()) if _set(connection, name, said)]
    return record(connection, *map(flag_key, changed))


def _set(connection: Connection, name: str, said: Declaration) -> bool:
    """Whether a reader would notice."""
    declared = msgspec.structs.asdict(said)
    values = {"name": name, **declared, "deployed": json.dumps(declared)}
    select = "SELECT enabled, rollout_percent, deployed FROM flags WHERE name = %(name)s FOR UPDATE"
    found = connection.rows(select, values)
    if not found:
        insert = """
            INSERT INTO flags (name, enabled, rollout_percent, deployed)
            VALUES (%(name)s, %(enabled)s, %(rollout_percent)s, %(deployed)s)"""
        connection.change(insert, values)
        return True
    ((enabled, rollout_percent, deployed),) = found
    if deployed == values["deployed"]:
        return False
    update = """
        UPDATE flags SET enabled = %(enabled)s, rollout_percent = %(rollout_percent)s, deployed = %(deployed)s
        WHERE name = %(name)s"""
    connection.change(update, values)
    return said != Declaration(enabled, rollout_percent)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"declared twice: {next(name for name in names if names.count(name) > 1)}")
    return made


def _checked(file: Path, name: str, expected: Any, given: Any) -> Any:
    try:
        return msgspec.convert(given, expected)
    except msgspec.ValidationError as error:
        raise MigrationError(f"{file.name}: flag {name!r}: {error}") from None
