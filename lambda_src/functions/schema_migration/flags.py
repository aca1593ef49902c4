"""The feature flags of a release: flags.json declares them, and every deployment makes them so.

A flag is set when its declaration is another than the last deployment's, so that what an operator has changed since
outlives deployments that do not touch that flag. One that is no longer declared stays as it is: the release before may
still ask for it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from cache_aside import OutboxRow
from functions.schema_migration.settings import MigrationError
from storefront.policies import flag_key

FILE = Path(__file__).with_name("flags.json")

_FLAGS = sa.table("flags", *map(sa.column, ("name", "enabled", "rollout_percent", "deployed")))
_OUTBOX = sa.Table(
    "cache_invalidations",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.Text),
    sa.Column("delivered_at", sa.DateTime(timezone=True)),
)


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


def apply(connection: sa.Connection, declarations: Mapping[str, Declaration]) -> list[OutboxRow]:
    """Sets the flags whose declaration is new; returns what that made obsolete, recorded in the same transaction."""
    changed = [name for name, said in sorted(declarations.items()) if _set(connection, name, said)]
    return [_record(connection, flag_key(name)) for name in changed]


def mark_delivered(connection: sa.Connection, rows: Iterable[OutboxRow]) -> None:
    """Notes that the keys of these rows were deleted, unless that is known already."""
    given = _OUTBOX.c.id.in_([row.id for row in rows])
    undelivered = sa.update(_OUTBOX).where(given, _OUTBOX.c.delivered_at.is_(None))
    connection.execute(undelivered.values(delivered_at=sa.func.current_timestamp()))


def _set(connection: sa.Connection, name: str, said: Declaration) -> bool:
    """Whether a reader would notice."""
    values = {**msgspec.structs.asdict(said), "deployed": json.dumps(msgspec.structs.asdict(said))}
    this = _FLAGS.c.name == name
    found = connection.execute(sa.select(_FLAGS).where(this).with_for_update()).mappings().one_or_none()
    if found is None:
        connection.execute(sa.insert(_FLAGS).values(name=name, **values))
        return True
    if found["deployed"] == values["deployed"]:
        return False
    connection.execute(sa.update(_FLAGS).where(this).values(**values))
    return said != Declaration(bool(found["enabled"]), found["rollout_percent"])


def _record(connection: sa.Connection, key: str) -> OutboxRow:
    inserted = connection.execute(sa.insert(_OUTBOX).values(key=key))
    primary_key: Any = inserted.inserted_primary_key
    return OutboxRow(primary_key.id, key)


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
