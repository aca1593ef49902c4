"""The whole migration as one transaction."""

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from cache_aside import OutboxRow
from functions.schema_migration import flags
from functions.schema_migration.access import ensure_app_role, ensure_operator
from functions.schema_migration.delivery import delete_from_cache
from functions.schema_migration.revisions import upgrade
from functions.schema_migration.sample_data import load_sample_data
from functions.schema_migration.settings import Login, MigrationError, Settings
from storefront.postgres import open_connection

# Any constant will do; it names this lock among the database's advisory locks.
_LOCK = 0x5C4E3A
_TIMEOUT_SECONDS = 120


def migrate(settings: Settings, *, master: Login, operator: Login, sample_data: bool) -> str:
    """Schema, role, rights, first operator, flags, sample data; returns the database's revision.

    Safe to repeat and to run concurrently. All of it commits or none does. MigrationError says why not, in the
    database's words without the statement and its values. After the commit the cache is told which flags have changed.
    """
    declarations = flags.read_declarations(flags.FILE)
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(settings, master), poolclass=NullPool)
    try:
        with engine.begin() as transaction:
            connection = cast("psycopg.Connection[TupleRow]", transaction.connection.driver_connection)
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            revision = upgrade(transaction)
            ensure_app_role(connection, settings.app_role, settings.app_password)
            ensure_operator(connection, operator)
            if sample_data:
                load_sample_data(connection)
            # Last, because whoever changes a flag meanwhile waits for the commit.
            obsolete = flags.apply(transaction, declarations)
    except DBAPIError as error:
        raise MigrationError(_reason(error.orig)) from None
    except psycopg.Error as error:
        raise MigrationError(_reason(error)) from None
    if obsolete and delete_from_cache(settings, obsolete):
        _mark_delivered(engine, obsolete)
    return revision


def _mark_delivered(engine: Engine, rows: Sequence[OutboxRow]) -> None:
    # What is not marked the relay deletes once more, and marks.
    with suppress(DBAPIError), engine.begin() as transaction:
        flags.mark_delivered(transaction, rows)


def _connect(settings: Settings, master: Login) -> psycopg.Connection[TupleRow]:
    connection = open_connection(
        settings.endpoint,
        database=settings.database,
        user=master.username,
        password=master.password,
        connect_timeout_seconds=10,
        statement_timeout_seconds=_TIMEOUT_SECONDS,
    )
    connection.autocommit = False
    return connection


def _reason(error: BaseException | None) -> str:
    in_words = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return f"schema migration: {in_words or str(error).strip()}"
