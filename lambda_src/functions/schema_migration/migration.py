"""The whole migration: one transaction where the engine has transactions for it."""

from sqlalchemy.exc import DBAPIError

from functions.schema_migration.access import ensure_operator
from functions.schema_migration.engine import engine_of
from functions.schema_migration.revisions import upgrade
from functions.schema_migration.sample_data import load_sample_data, load_sample_sales
from functions.schema_migration.settings import Login, MigrationError, Settings
from storefront.database import DatabaseUnavailableError


def migrate(settings: Settings, *, master: Login, operator: Login, sample_data: bool) -> str:
    """Schema, role, rights, first operator, sample data; returns the database's revision.

    Safe to repeat, after a crash in its middle too, and to run concurrently. On PostgreSQL all of it commits or none
    does; on MySQL every change of the schema or of rights commits by itself. MigrationError says why not, in the
    database's words without the statement and its values.
    """
    engine = engine_of(settings)
    try:
        with engine.pool(settings, master).begin() as connection:
            engine.prepare(connection, settings.database)
            revision = upgrade(connection)
            engine.ensure_app_role(connection, settings.app_role, settings.app_password)
            ensure_operator(connection, operator)
            if sample_data:
                if not engine.ever_held_a_row(connection, "products"):
                    load_sample_data(connection)
                load_sample_sales(engine.portable(connection))
    except Exception as error:
        reason = engine.reason(_of_the_driver(error))
        if reason is None:
            raise
        raise MigrationError(f"schema migration: {reason}") from None
    return revision


def _of_the_driver(error: Exception) -> BaseException | None:
    if isinstance(error, DBAPIError):
        return error.orig
    return error.__cause__ if isinstance(error, DatabaseUnavailableError) else error
