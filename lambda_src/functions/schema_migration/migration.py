"""The whole migration: one transaction where the engine has transactions for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from cache_aside import OutboxRow
from functions.schema_migration import flags
from functions.schema_migration.access import ensure_operator, ensure_seal_secret, rotate_seal_secret
from functions.schema_migration.delivery import delete_from_cache
from functions.schema_migration.engine import Engine, engine_of
from functions.schema_migration.revisions import upgrade
from functions.schema_migration.sample_data import load_sample_data, load_sample_sales
from functions.schema_migration.settings import Login, MigrationError, Settings
from storefront.database import Database, DatabaseUnavailableError
from storefront.repositories.outbox import outbox_of


def migrate(settings: Settings, *, master: Login, operator: Login, sample_data: bool) -> str:
    """Schema, role, rights, first operator, seal secret, flags, sample data; returns the database's revision.

    Safe to repeat, after a crash in its middle too, and to run concurrently. On PostgreSQL all of it commits or none
    does; on MySQL every change of the schema or of rights commits by itself. MigrationError says why not, in the
    database's words without the statement and its values. After the commit the cache is told which flags have changed.
    """
    declarations = flags.read_declarations(flags.FILE)
    engine = engine_of(settings)
    pool = engine.pool(settings, master)
    with _reasons(engine, "schema migration"), pool.begin() as connection:
        engine.prepare(connection, settings.database)
        revision = upgrade(connection)
        engine.ensure_app_role(connection, settings.app_role, settings.app_password)
        ensure_operator(connection, operator)
        ensure_seal_secret(connection)
        if sample_data:
            if not engine.ever_held_a_row(connection, "products"):
                load_sample_data(connection)
            load_sample_sales(engine.portable(connection))
        # Last, because whoever changes a flag meanwhile waits for the commit.
        obsolete = flags.apply(engine.portable(connection), declarations)
    if obsolete and delete_from_cache(settings, obsolete):
        _mark_delivered(settings, engine, pool, obsolete)
    return revision


def rotate_seal(settings: Settings, *, master: Login) -> None:
    """Another secret for the seals of cached sessions; what the one before has sealed still counts. MigrationError."""
    engine = engine_of(settings)
    with _reasons(engine, "rotation of the seal secret"), engine.pool(settings, master).begin() as connection:
        engine.prepare(connection, settings.database)
        rotate_seal_secret(connection)


@contextmanager
def _reasons(engine: Engine, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = engine.reason(_of_the_driver(error))
        if reason is None:
            raise
        raise MigrationError(f"{what}: {reason}") from None


def _mark_delivered(settings: Settings, engine: Engine, pool: sa.Engine, rows: Sequence[OutboxRow]) -> None:
    # What is not marked the relay deletes once more, and marks.
    with suppress(DBAPIError, DatabaseUnavailableError), pool.begin() as connection:
        outbox = outbox_of(Database(lambda: engine.portable(connection)), settings.engine)
        outbox.mark_delivered([row.id for row in rows])


def _of_the_driver(error: Exception) -> BaseException | None:
    if isinstance(error, DBAPIError):
        return error.orig
    return error.__cause__ if isinstance(error, DatabaseUnavailableError) else error
