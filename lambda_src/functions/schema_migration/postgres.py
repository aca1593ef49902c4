"""The migration on PostgreSQL: see `engine.Engine`."""

from typing import cast

import psycopg
import sqlalchemy as sa
from psycopg import sql
from psycopg.rows import TupleRow
from sqlalchemy.pool import NullPool

from functions.schema_migration.access import RIGHTS
from functions.schema_migration.settings import TIMEOUT_SECONDS, Login, Settings
from storefront.postgres import PostgresConnection, open_connection

# Any constant will do; it names this lock among the database's advisory locks.
_LOCK = 0x5C4E3A


def pool(settings: Settings, master: Login) -> sa.Engine:
    """See `Engine`."""

    def connect() -> psycopg.Connection[TupleRow]:
        connection = open_connection(
            settings.endpoint,
            database=settings.database,
            user=master.username,
            password=master.password,
            connect_timeout_seconds=10,
            statement_timeout_seconds=TIMEOUT_SECONDS,
        )
        connection.autocommit = False
        return connection

    return sa.create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)


def prepare(connection: sa.Connection, _database: str) -> None:
    """See `Engine`. The lock is one of this database."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def ensure_app_role(connection: sa.Connection, role: str, password: str | None) -> None:
    """See `Engine`. RDS allows IAM tokens to the members of rds_iam."""
    driver = cast("psycopg.Connection[TupleRow]", connection.connection.driver_connection)
    name = sql.Identifier(role)
    if not driver.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
        driver.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    if password is None:
        driver.execute(sql.SQL("GRANT rds_iam TO {}").format(name))
    else:
        # Hashed here: statements that change roles are among the first that a server is told to log.
        verifier = driver.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        driver.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(verifier)))
    database = sql.Identifier(driver.info.dbname)
    driver.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    driver.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, name))
    driver.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    for table, rights in RIGHTS.items():
        grant = sql.SQL("GRANT {} ON {} TO {}")
        driver.execute(grant.format(sql.SQL(rights), sql.Identifier(table), name))


def ever_held_a_row(connection: sa.Connection, table: str) -> bool:
    """See `Engine`."""
    sequence = sa.table(f"{table}_id_seq", sa.column("is_called"))
    return bool(connection.scalar(sa.select(sequence.c.is_called)))


def portable(connection: sa.Connection) -> PostgresConnection:
    """See `Engine`."""
    return PostgresConnection(cast("psycopg.Connection[TupleRow]", connection.connection.driver_connection))


def reason(error: BaseException | None) -> str | None:
    """See `Engine`."""
    if not isinstance(error, psycopg.Error):
        return None
    return error.diag.message_primary or str(error).strip()
