"""Running statements on PostgreSQL."""

import select
import threading
from collections.abc import Callable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

Row = tuple[Any, ...]


class DatabaseUnavailableError(Exception):
    """The database did not answer, or not in time. A write may or may not have happened."""


class _ConnectionLostError(DatabaseUnavailableError):
    """The connection broke while the statement ran."""


class Database:
    """One connection a thread, in autocommit mode, each statement a transaction.

    As many connections as threads serve requests: one under Lambda. `connect` makes a new one, with the credentials of
    that moment; it raises psycopg.OperationalError or DatabaseUnavailableError.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[TupleRow]]) -> None:
        self._connect = connect
        self._thread = threading.local()

    def read(self, statement: LiteralString, parameters: Mapping[str, object]) -> list[Row]:
        """The rows; tried once more on a fresh connection when the first broke. DatabaseUnavailableError."""
        try:
            return self.write(statement, parameters)
        except _ConnectionLostError:
            return self.write(statement, parameters)

    def write(self, statement: LiteralString, parameters: Mapping[str, object]) -> list[Row]:
        """The rows that the statement returns; committed when this returns. DatabaseUnavailableError."""
        connection = self._connection()
        try:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if connection.broken:
                raise _ConnectionLostError(str(error)) from error
            if connection.info.transaction_status is TransactionStatus.ACTIVE:
                # It gave up waiting for an answer, which might still come and be taken for another statement's.
                connection.close()
            raise DatabaseUnavailableError(str(error)) from error
        except psycopg.errors.ReadOnlySqlTransaction as error:
            # A failover made this server the standby; it keeps the connection, so close it here.
            connection.close()
            raise DatabaseUnavailableError(str(error)) from error

    def available(self) -> bool:
        """Whether the database answers now."""
        try:
            self.read("SELECT 1", {})
        except DatabaseUnavailableError:
            return False
        return True

    def _connection(self) -> psycopg.Connection[TupleRow]:
        connection: psycopg.Connection[TupleRow] | None = getattr(self._thread, "connection", None)
        if connection is not None and not connection.closed:
            if not _server_hung_up(connection):
                return connection
            connection.close()
        try:
            self._thread.connection = connection = self._log_in()
        except psycopg.OperationalError as error:
            raise DatabaseUnavailableError(str(error)) from error
        return connection

    def _log_in(self) -> psycopg.Connection[TupleRow]:
        try:
            return self._connect()
        except psycopg.OperationalError as error:
            # libpq gives no SQLSTATE here. The credentials may have been replaced between reading and using them.
            if "authentication failed" not in str(error):
                raise
            return self._connect()


def _server_hung_up(connection: psycopg.Connection[TupleRow]) -> bool:
    """Whether the idle connection has something to read, which is how the end of the stream shows. Costs no round trip.

    Seen before a statement is sent, a restarted server costs a new connection instead of an error in doubt.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
