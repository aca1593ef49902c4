"""How this project's code talks to MySQL: always over TLS with the server's certificate verified."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, LiteralString

import pymysql
from pymysql.constants import CLIENT, ER, FIELD_TYPE
from pymysql.converters import conversions, escape_datetime
from pymysql.cursors import Cursor

from cache_aside import Dialect
from storefront.database import (
    ConnectionLostError,
    DatabaseUnavailableError,
    DeadlockError,
    DuplicateError,
    LoginRefusedError,
    Parameters,
    Row,
    database_roots,
    hung_up,
)
from storefront.endpoints import Endpoint

# More than the server's own timeout, which comes first as long as the server lives.
_GRACE_SECONDS = 0.5
# An idle session is worth little, as a new one costs no error; one that stopped in a transaction holds locks.
_IDLE_SECONDS = 60

# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html and, from 1900 to 1999,
# https://mariadb.com/kb/en/mariadb-error-code-reference/; PyMySQL names only the older half.
_TIMED_OUT = {ER.LOCK_WAIT_TIMEOUT, ER.QUERY_INTERRUPTED, 3024, 1969}
_OVERLOADED_OR_LEAVING = {ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.SERVER_SHUTDOWN}
_READ_ONLY = {ER.OPTION_PREVENTS_STATEMENT, 1792, 1836}
_LOGIN_REFUSED = {ER.ACCESS_DENIED_ERROR, 1698}


def _in_utc(value: datetime, _mapping: object = None) -> str:
    """A literal for DATETIME, which knows no zones; without this the zone would be cut off."""
    return escape_datetime(value.astimezone(UTC) if value.tzinfo else value)


# BOOLEAN is TINYINT, and no column of the schema is TINYINT for another reason.
_CONVERSIONS: dict[Any, Any] = {**conversions, datetime: _in_utc, FIELD_TYPE.TINY: lambda text: text != "0"}


class MysqlConnection:
    """A `storefront.database.Connection`."""

    dialect: Dialect = "mysql"

    def __init__(self, connection: "pymysql.Connection[Cursor]") -> None:
        self._connection = connection
        self.failed = False

    def rows(self, statement: LiteralString, parameters: Parameters) -> list[Row]:
        """See `Connection`."""
        with self._executed(statement, parameters) as cursor:
            return list(cursor.fetchall())

    def change(self, statement: LiteralString, parameters: Parameters) -> int:
        """See `Connection`."""
        with self._executed(statement, parameters) as cursor:
            return cursor.rowcount

    def insert(self, statement: LiteralString, parameters: Parameters) -> int:
        """See `Connection`."""
        with self._executed(statement, parameters) as cursor:
            return int(cursor.lastrowid or 0)

    def closed(self) -> bool:
        """See `Connection`."""
        return not self._connection.open or hung_up(self._connection._sock.fileno())  # type: ignore[attr-defined]

    def close(self) -> None:
        """See `Connection`."""
        if self._connection.open:
            self._connection.close()

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """See `Connection`."""
        with self._translated(), self._connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def _executed(self, statement: LiteralString, parameters: Parameters) -> Iterator[Cursor]:
        with self.cursor() as cursor:
            cursor.execute(statement, parameters)
            yield cursor

    @contextmanager
    def _translated(self) -> Iterator[None]:
        failed, self.failed = self.failed, True
        try:
            yield
            self.failed = failed
        except pymysql.Error as error:
            code, words = error.args[0], str(error)
            if not self._connection.open:
                # It closes itself after whatever happened on the way; an answer that is late might still come.
                timed_out = isinstance(error.__context__, TimeoutError)
                raise (DatabaseUnavailableError if timed_out else ConnectionLostError)(words) from error
            if code == ER.DUP_ENTRY:
                raise DuplicateError(words) from error
            if code == ER.LOCK_DEADLOCK:
                raise DeadlockError(words) from error
            if code in _READ_ONLY:
                # A failover made this server the standby; it keeps the connection, so close it here.
                self._connection.close()
                raise DatabaseUnavailableError(words) from error
            if code in _TIMED_OUT | _OVERLOADED_OR_LEAVING:
                raise DatabaseUnavailableError(words) from error
            raise


def connect(
    endpoint: Endpoint, *, database: str, user: str, password: str, statement_timeout_seconds: int = 2
) -> MysqlConnection:
    """See `storefront.engines.Driver`."""
    try:
        return MysqlConnection(
            open_connection(
                endpoint,
                database=database,
                user=user,
                password=password,
                statement_timeout_seconds=statement_timeout_seconds,
            )
        )
    except pymysql.Error as error:
        refused = error.args[0] in _LOGIN_REFUSED
        raise (LoginRefusedError if refused else DatabaseUnavailableError)(str(error)) from error


def open_connection(
    endpoint: Endpoint,
    *,
    database: str,
    user: str,
    password: str,
    connect_timeout_seconds: int = 2,
    statement_timeout_seconds: int = 2,
) -> "pymysql.Connection[Cursor]":
    """A new connection in autocommit mode; pymysql.Error when there is none to be had.

    Times out like that of `storefront.postgres`, with two differences. Every step of logging in may take as long as a
    statement. And MySQL ends only SELECTs that take too long, and whatever waits for a lock; the client gives up on
    the rest, so that one of those is in doubt. MariaDB ends all.

    An IAM token goes to the server as it is, over TLS, as AWSAuthenticationPlugin asks (mysql_clear_password).
    """
    return pymysql.connect(
        host=endpoint.host,
        port=endpoint.port,
        database=database,
        user=user,
        password=password.encode(),  # PyMySQL itself would take it for Latin-1
        charset="utf8mb4",
        conv=_CONVERSIONS,
        client_flag=CLIENT.FOUND_ROWS,
        autocommit=True,
        init_command=_session_settings(statement_timeout_seconds),
        connect_timeout=connect_timeout_seconds,
        read_timeout=statement_timeout_seconds + _GRACE_SECONDS,
        write_timeout=statement_timeout_seconds + _GRACE_SECONDS,
        ssl_ca=database_roots(),
        ssl_verify_cert=True,
        ssl_verify_identity=True,
        program_name="storefront",
    )


def _session_settings(timeout_seconds: int) -> str:
    """One statement for both servers: each executes the comment that is meant for it.

    https://mariadb.com/kb/en/comment-syntax/: MariaDB skips what is for MySQL 5.7 and newer.
    """
    return (
        "SET SESSION sql_mode = 'ANSI,TRADITIONAL', time_zone = '+00:00', "
        f"innodb_lock_wait_timeout = {timeout_seconds}, lock_wait_timeout = {timeout_seconds}, "
        f"wait_timeout = {max(_IDLE_SECONDS, timeout_seconds)} "
        f"/*!80000 , transaction_isolation = 'READ-COMMITTED', max_execution_time = {timeout_seconds * 1000} */"
        f"/*M!100100 , tx_isolation = 'READ-COMMITTED', max_statement_time = {timeout_seconds} */"
    )
