"""How this project's code talks to PostgreSQL: always over TLS with the server's certificate verified."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import errors
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

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


class _BoundedConnection(psycopg.Connection[TupleRow]):
    """Waits for no answer longer than `answer_seconds`; then psycopg.OperationalError, and the connection is of no use.

    A frozen server neither ends statements itself nor lets TCP notice: its kernel acknowledges everything.
    """

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """What every statement waits in."""
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)


class PostgresConnection:
    """A `storefront.database.Connection`."""

    dialect: Dialect = "postgresql"

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection
        self.failed = False

    def rows(self, statement: LiteralString, parameters: Parameters) -> list[Row]:
        """See `Connection`."""
        with self._translated():
            return self._connection.execute(statement, parameters).fetchall()

    def change(self, statement: LiteralString, parameters: Parameters) -> int:
        """See `Connection`."""
        with self._translated():
            return self._connection.execute(statement, parameters).rowcount

    def insert(self, statement: LiteralString, parameters: Parameters) -> int:
        """See `Connection`."""
        return int(self.rows(statement + " RETURNING id", parameters)[0][0])

    @contextmanager
    def cursor(self) -> Iterator[psycopg.Cursor[TupleRow]]:
        """See `Connection`."""
        with self._translated(), self._connection.cursor() as cursor:
            yield cursor

    def closed(self) -> bool:
        """See `Connection`."""
        return self._connection.closed or hung_up(self._connection.fileno())

    def close(self) -> None:
        """See `Connection`."""
        self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        failed, self.failed = self.failed, True
        try:
            yield
            self.failed = failed
        except errors.UniqueViolation as error:
            raise DuplicateError(str(error)) from error
        except (errors.DeadlockDetected, errors.SerializationFailure) as error:
            raise DeadlockError(str(error)) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if self._connection.broken:
                raise ConnectionLostError(str(error)) from error
            if self._connection.info.transaction_status is TransactionStatus.ACTIVE:
                # It gave up waiting for an answer, which might still come and be taken for another statement's.
                self._connection.close()
            raise DatabaseUnavailableError(str(error)) from error
        except errors.ReadOnlySqlTransaction as error:
            # A failover made this server the standby; it keeps the connection, so close it here.
            self._connection.close()
            raise DatabaseUnavailableError(str(error)) from error


def connect(
    endpoint: Endpoint, *, database: str, user: str, password: str, statement_timeout_seconds: int = 2
) -> PostgresConnection:
    """See `storefront.engines.Driver`."""
    try:
        return PostgresConnection(
            open_connection(
                endpoint,
                database=database,
                user=user,
                password=password,
                statement_timeout_seconds=statement_timeout_seconds,
            )
        )
    except psycopg.OperationalError as error:
        # libpq gives no SQLSTATE here.
        refused = "authentication failed" in str(error)
        raise (LoginRefusedError if refused else DatabaseUnavailableError)(str(error)) from error


def open_connection(
    endpoint: Endpoint,
    *,
    database: str,
    user: str,
    password: str,
    connect_timeout_seconds: int = 2,
    statement_timeout_seconds: int = 2,
) -> psycopg.Connection[TupleRow]:
    """A new connection in autocommit mode; psycopg.OperationalError when there is none to be had.

    By default connecting and a statement together stay below the 5 s that a lease of the cache lasts.

    A server that vanishes without a word (a failover) is noticed after 3 s without acknowledgement. Whoever stops in
    the middle of a transaction loses its locks after twice the time that a statement may take.
    """
    idle_seconds = 2 * statement_timeout_seconds
    connection = _BoundedConnection.connect(
        host=endpoint.host,
        port=endpoint.port,
        dbname=database,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=database_roots(),
        gssencmode="disable",
        connect_timeout=connect_timeout_seconds,
        tcp_user_timeout=3000,
        keepalives_idle=10,
        keepalives_interval=1,
        keepalives_count=3,
        options=f"-c statement_timeout={statement_timeout_seconds}s -c TimeZone=UTC "
        f"-c idle_in_transaction_session_timeout={idle_seconds}s",
        application_name="storefront",
        autocommit=True,
    )
    connection.answer_seconds = statement_timeout_seconds + _GRACE_SECONDS
    return connection
