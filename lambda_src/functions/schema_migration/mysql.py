"""The migration on MySQL: see `engine.Engine`."""

from typing import cast

import pymysql
import sqlalchemy as sa
from pymysql.cursors import Cursor
from sqlalchemy.pool import NullPool

from functions.schema_migration.access import RIGHTS
from functions.schema_migration.settings import TIMEOUT_SECONDS, Login, MigrationError, Settings
from storefront.mysql import MysqlConnection, open_connection

# They compare by code point and do not ignore spaces at the end, as PostgreSQL compares. MySQL has the first, MariaDB
# the second.
_EXACT_COLLATIONS = ("utf8mb4_0900_bin", "utf8mb4_nopad_bin")


def pool(settings: Settings, master: Login) -> sa.Engine:
    """See `Engine`."""

    def connect() -> "pymysql.Connection[Cursor]":
        connection = open_connection(
            settings.endpoint,
            database=settings.database,
            user=master.username,
            password=master.password,
            connect_timeout_seconds=10,
            statement_timeout_seconds=TIMEOUT_SECONDS,
        )
        connection.autocommit(False)
        return connection

    return sa.create_engine("mysql+pymysql://", creator=connect, poolclass=NullPool)


def prepare(connection: sa.Connection, database: str) -> None:
    """See `Engine`. Locks are the whole server's and have names of 64 characters at most, as databases have."""
    if connection.scalar(sa.select(sa.func.get_lock(f"migrate {database}"[:64], TIMEOUT_SECONDS))) != 1:
        raise MigrationError("schema migration: another one holds the lock")
    collations = sa.table("collations", sa.column("collation_name"), schema="information_schema")
    known = sa.select(collations.c.collation_name).where(collations.c.collation_name.in_(_EXACT_COLLATIONS))
    # What new tables inherit.
    connection.exec_driver_sql(
        f"ALTER DATABASE {_identifier(database)} CHARACTER SET utf8mb4 COLLATE {connection.scalar(known)}"
    )


def ensure_app_role(connection: sa.Connection, role: str, password: str | None) -> None:
    """See `Engine`. RDS checks IAM tokens with AWSAuthenticationPlugin; a password uses the server's default plugin."""
    user = f"{_text(role)}@'%%'"
    proof = "WITH AWSAuthenticationPlugin AS 'RDS'" if password is None else f"BY {_text(password)}"
    for statement in ("CREATE USER IF NOT EXISTS", "ALTER USER"):
        connection.exec_driver_sql(f"{statement} {user} IDENTIFIED {proof} REQUIRE SSL")
    for table, rights in RIGHTS.items():
        connection.exec_driver_sql(f"GRANT {rights} ON {_identifier(table)} TO {user}")


def ever_held_a_row(connection: sa.Connection, table: str) -> bool:
    """See `Engine`. The counter outlives rows, a rolled back INSERT and, from MySQL 8.0 on, a restart."""
    # MySQL answers from statistics of yesterday otherwise; MariaDB has none and skips the comment.
    connection.exec_driver_sql("SET /*!80000 SESSION information_schema_stats_expiry = 0, */ @unused = 0")
    tables = sa.table(
        "tables", *map(sa.column, ("auto_increment", "table_name", "table_schema")), schema="information_schema"
    )
    ours = (tables.c.table_schema == sa.func.database()) & (tables.c.table_name == table)
    return (connection.scalar(sa.select(tables.c.auto_increment).where(ours)) or 1) > 1


def portable(connection: sa.Connection) -> MysqlConnection:
    """See `Engine`."""
    return MysqlConnection(cast("pymysql.Connection[Cursor]", connection.connection.driver_connection))


def reason(error: BaseException | None) -> str | None:
    """See `Engine`."""
    return str(error.args[-1]) if isinstance(error, pymysql.Error) else None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def _text(value: str) -> str:
    return "'" + pymysql.converters.escape_string(value).replace("%", "%%") + "'"
