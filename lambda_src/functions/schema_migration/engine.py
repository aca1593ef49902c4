"""What the migration asks of an engine: its modules `postgres` and `mysql` are one each."""

from typing import Protocol

import sqlalchemy as sa

from functions.schema_migration.settings import Login, Settings
from storefront.database import Connection


class Engine(Protocol):
    """The parts of a migration that the engines do differently."""

    def pool(self, settings: Settings, master: Login) -> sa.Engine:
        """Connects as the master user, one connection at a time."""

    def prepare(self, connection: sa.Connection, database: str) -> None:
        """Waits until no other migration of this database runs, and keeps others waiting until the connection ends."""

    def ensure_app_role(self, connection: sa.Connection, role: str, password: str | None) -> None:
        """Creates the app's role if it does not exist and gives it the rights of `access.RIGHTS`.

        It logs in with `password`, or, where that is None, by IAM token.
        """

    def ever_held_a_row(self, connection: sa.Connection, table: str) -> bool:
        """Whether the table has an `id` that was given out."""

    def portable(self, connection: sa.Connection) -> Connection:
        """The same session and transaction, for SQL that both engines understand."""

    def reason(self, error: BaseException | None) -> str | None:
        """The error in the words of the database, without the statement and its values. None: not one of its."""


def engine_of(settings: Settings) -> Engine:
    """The engine that the settings name."""
    # Imported here, so that only one driver is loaded.
    if settings.engine == "mysql":
        from functions.schema_migration import mysql

        return mysql
    from functions.schema_migration import postgres

    return postgres
