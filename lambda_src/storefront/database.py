"""Running statements on the database, whichever engine it is."""

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, LiteralString, Protocol, TypeVar

from cache_aside import Dialect

Row = tuple[Any, ...]
Parameters = Mapping[str, object] | Sequence[object]
T = TypeVar("T")

# A transaction that lost against another one is repeated this often: its locks were taken in another order.
_ATTEMPTS = 3

# Nothing between here and the server promises to know a connection for longer. A frozen Lambda wakes up with such ones,
# and what is sent on them may be answered by nobody.
_MOST_IDLE_SECONDS = 180.0

# The roots that the certificates of RDS chain to. Where to get a newer one: tools/refresh_rds_ca_bundle.py.
RDS_CA_BUNDLE = Path(__file__).parent / "rds-ca-bundle.pem"

logger = logging.getLogger(__name__)


class DatabaseUnavailableError(Exception):
    """The database did not answer, or not in time. A write may or may not have happened."""


class ConnectionLostError(DatabaseUnavailableError):
    """The connection broke while the statement ran."""


class LoginRefusedError(DatabaseUnavailableError):
    """The database did not accept the credentials."""


class DeadlockError(DatabaseUnavailableError):
    """The transaction was undone, because it and another one waited for each other."""


class DuplicateError(Exception):
    """A row with this key exists already."""


class Connection(Protocol):
    """A session on the server in autocommit mode. Statements raise the errors above, and name parameters `%(name)s`.

    The SQL is what both engines understand: identifiers that one of them reserves stand in double quotes.
    """

    dialect: Dialect
    """In whose words `cache_aside` speaks to it."""
    failed: bool
    """Whether a statement has raised since somebody set this to False."""

    def rows(self, statement: LiteralString, parameters: Parameters) -> list[Row]:
        """The rows that a query answers with; times are in UTC, with or without saying so.

        A BOOLEAN column is a bool. A condition (`delivered_at IS NULL`) is one on PostgreSQL and 1 or 0 on MySQL. A SUM
        of integers is an int or a Decimal.
        """

    def change(self, statement: LiteralString, parameters: Parameters) -> int:
        """How many rows the statement found and wrote."""

    def insert(self, statement: LiteralString, parameters: Parameters) -> int:
        """The `id` that the one new row was given."""

    def cursor(self) -> AbstractContextManager[Any]:
        """The driver's own cursor (PEP 249), whose errors are those above."""
        ...

    def closed(self) -> bool:
        """Whether it is of no use any more. Costs no round trip."""

    def close(self) -> None:
        """Ends the session; an open transaction is undone."""


class Database:
    """One connection a thread. As many connections as threads serve requests: one under Lambda.

    `connect` makes a new one, with the credentials of that moment; it raises DatabaseUnavailableError. A connection
    that nobody used for three minutes is replaced before it is used. `clock` tells seconds; the default is the wall
    clock, which goes on while a Lambda is frozen.
    """

    def __init__(self, connect: Callable[[], Connection], *, clock: Callable[[], float] = time.time) -> None:
        self._connect = connect
        self._clock = clock
        self._thread = threading.local()

    def read(self, statement: LiteralString, parameters: Parameters = ()) -> list[Row]:
        """The rows; tried once more on a fresh connection when the first broke. DatabaseUnavailableError."""
        try:
            return self._connection().rows(statement, parameters)
        except ConnectionLostError:
            return self._connection().rows(statement, parameters)

    def write(self, statement: LiteralString, parameters: Parameters = ()) -> int:
        """How many rows were written, by a transaction of this statement alone; committed when this returns.

        DatabaseUnavailableError, DuplicateError.
        """
        return self._connection().change(statement, parameters)

    def transact(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, whose statements are committed when this returns, and undone when it raises.

        After a deadlock all of it runs again. A connection that turns out to be lost before anything ran is replaced
        once. DatabaseUnavailableError, DuplicateError, and what `work` raises.
        RuntimeError when `work` goes on after a statement that failed: COMMIT would not say that nothing was written.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._transact_once(work)
            except DeadlockError as error:
                if attempt == _ATTEMPTS:
                    raise
                logger.info("a transaction is repeated: %s", error)
        raise AssertionError

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """A cursor each of whose statements is a transaction of its own. DatabaseUnavailableError."""
        with self._connection().cursor() as cursor:
            yield cursor

    def available(self) -> bool:
        """Whether the database answers now."""
        try:
            self.read("SELECT 1")
        except DatabaseUnavailableError:
            return False
        return True

    def _transact_once(self, work: Callable[[Connection], T]) -> T:
        connection = self._begin()
        try:
            connection.failed = False
            result = work(connection)
            _commit(connection)
        except BaseException:
            _undo(connection)
            raise
        return result

    def _begin(self) -> Connection:
        """The connection, in a transaction."""
        known = getattr(self._thread, "connection", None)
        connection = self._connection()
        try:
            connection.change("BEGIN", ())
        except ConnectionLostError:
            connection.close()
            if connection is not known:
                raise  # the server ends new ones, too
            connection = self._connection()
            connection.change("BEGIN", ())
        except BaseException:
            _undo(connection)  # whether BEGIN arrived is not known
            raise
        return connection

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._thread, "connection", None)
        now = self._clock()
        if connection is not None:
            idle = now - self._thread.used_at
            if not connection.closed() and idle <= _MOST_IDLE_SECONDS:
                self._thread.used_at = now
                return connection
            connection.close()
        self._thread.connection = connection = self._log_in()
        self._thread.used_at = now
        return connection

    def _log_in(self) -> Connection:
        try:
            return self._connect()
        except LoginRefusedError:
            # The credentials may have been replaced between reading and using them.
            return self._connect()


def hung_up(descriptor: int) -> bool:
    """Whether the server has ended this idle connection.

    What can be read from one that waits for nothing is the end of its stream. Seen before a statement is sent, a
    restarted server costs a new connection instead of an error in doubt.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def database_roots() -> str:
    """The file of roots to trust: RDS's own, which travel with this code, or the one that RDS_CA_FILE names."""
    return os.environ.get("RDS_CA_FILE") or str(RDS_CA_BUNDLE)


def placeholders(values: Sequence[object]) -> LiteralString:
    """`%s, %s, %s`: for IN, where both engines take as many positional parameters as there are values."""
    return ", ".join(["%s"] * len(values))


def _commit(connection: Connection) -> None:
    if connection.failed:
        # PostgreSQL answers COMMIT with ROLLBACK then, and MySQL has undone all that came before a deadlock.
        raise RuntimeError("a statement of this transaction failed: let its error leave `work`, which is undone then")
    connection.change("COMMIT", ())


def _undo(connection: Connection) -> None:
    try:
        connection.change("ROLLBACK", ())
    except DatabaseUnavailableError:
        connection.close()
