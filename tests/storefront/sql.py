"""What tests do to a database beside the app, on either engine."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import psycopg
import pymysql
from pymysql.constants import CLIENT

from local.engines import MariaDB, Postgres
from storefront.database import Parameters, placeholders

SqlEngine = Postgres | MariaDB
MASTER, MASTER_PASSWORD = "database_admin", "a-master-password-of-these-tests"


class Result(NamedTuple):
    """What a statement answered with."""

    rows: list[tuple[Any, ...]]
    columns: list[str]
    rowcount: int
    lastrowid: int

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


class Connection:
    """A connection in autocommit mode."""

    def __init__(self, engine: SqlEngine, driver: Any) -> None:
        self._engine = engine
        self._driver = driver

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.close()

    def execute(self, statement: str, parameters: Parameters = ()) -> Result:
        with self._driver.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            rows = list(cursor.fetchall()) if cursor.description else []
            columns = [column[0] for column in cursor.description or ()]
            return Result(rows, columns, cursor.rowcount, getattr(cursor, "lastrowid", 0))

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Inserts the rows."""
        quoted = ", ".join(f'"{column}"' for column in columns)
        statement = f"INSERT INTO {table} ({quoted}) VALUES ({placeholders(columns)})"  # noqa: S608
        with self.transaction(), self._driver.cursor() as cursor:
            cursor.executemany(statement, list(rows))

    def insert(self, statement: str, parameters: Parameters = ()) -> int:
        """The id of the new row."""
        if isinstance(self._engine, Postgres):
            return int(self.execute(statement + " RETURNING id", parameters).rows[0][0])
        return self.execute(statement, parameters).lastrowid

    def waiting_for_a_lock(self, user: str) -> dict[int, str]:
        """The sessions of the user in which a statement waits, and which one. (On MySQL: one that takes long.)"""
        if isinstance(self._engine, Postgres):
            sessions = "SELECT pid, query FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'"
        else:
            sessions = "SELECT id, info FROM information_schema.processlist WHERE user = %s AND time_ms > 100"
            sessions += " AND info IS NOT NULL"
        return dict(self.execute(sessions, [user]).rows)

    def end_session(self, session: int) -> None:
        """Disconnects whoever has it."""
        postgres = isinstance(self._engine, Postgres)
        self.execute("SELECT pg_terminate_backend(%s)" if postgres else "KILL %s", [session])

    def tables(self) -> set[str]:
        """Those of the database."""
        schema = "'public'" if isinstance(self._engine, Postgres) else "DATABASE()"
        statement = f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}"  # noqa: S608
        return {row[0] for row in self.execute(statement).rows}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits what is executed within."""
        self.execute("BEGIN")
        yield
        self.execute("COMMIT")

    @contextmanager
    def locked(self, *tables: str) -> Iterator[None]:
        """Nobody else reads or writes the tables."""
        if isinstance(self._engine, Postgres):
            with self.transaction():
                self.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
                yield
        else:
            self.execute(f"LOCK TABLES {', '.join(f'{table} WRITE' for table in tables)}")
            yield
            self.execute("UNLOCK TABLES")


def connect(engine: SqlEngine, database: str, user: str = MASTER, password: str = MASTER_PASSWORD) -> Connection:
    """A connection; the master's when no user is named."""
    ca_file = str(engine.certificates.ca_file)
    where: dict[str, Any] = {"host": "localhost", "port": engine.port, "user": user, "password": password}
    if isinstance(engine, Postgres):
        options: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": ca_file, "autocommit": True}
        return Connection(engine, psycopg.connect(dbname=database, **where, **options))
    options = {"ssl_ca": ca_file, "ssl_verify_identity": True, "autocommit": True, "sql_mode": "ANSI,TRADITIONAL"}
    return Connection(engine, pymysql.connect(database=database, client_flag=CLIENT.FOUND_ROWS, **where, **options))
