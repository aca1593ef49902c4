"""A durable outbox in your own SQL database: what a transaction makes obsolete is recorded by that transaction.

    outbox = SqlOutbox(transactions(connect), dialect="postgresql")  # connect: () -> a PEP 249 connection
    with outbox.transaction(connection, cache) as write:
        connection.execute("UPDATE product SET price = 5 WHERE id = 42")
        write.invalidates("product:42")

commits both or neither, and then deletes the key. Whatever stops it after the commit, a `Relay` finds the row. No
driver is imported here: any PEP 249 connection will do (https://peps.python.org/pep-0249/).
"""

import asyncio
import inspect
import logging
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, Literal, Protocol, get_args

from cache_aside.dialects import DIALECTS, Dialect
from cache_aside.keys import checked
from cache_aside.relay import Cache, OutboxRow, refuse_async
from cache_aside.results import Invalidation, Replicas

_NAMED = 3  # as many keys as a line of the log names
_BATCH = 500  # as many rows as a statement names

_log = logging.getLogger("cache_aside")
_blocks = threading.local()

ParamStyle = Literal["format", "pyformat", "qmark"]


class Cursor(Protocol):
    """What is needed of a PEP 249 cursor; on MySQL also `lastrowid`."""

    def execute(self, operation: Any, parameters: Any, /) -> Any:
        """Run one statement."""

    def fetchall(self) -> Any:
        """The rows that it answered with."""


class Connection(Protocol):
    """What is needed of a PEP 249 connection."""

    def cursor(self) -> Any:
        """A new cursor."""

    def commit(self) -> Any:
        """Commit the transaction."""

    def rollback(self) -> Any:
        """Undo it."""


class AsyncCache(Protocol):
    """What `deliver_async` needs of an `AsyncCacheAside`."""

    async def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Delete keys."""
        ...


Begin = Callable[[], AbstractContextManager[Any]]
"""Makes a transaction of its own: a context manager that gives a cursor, commits at its end, and undoes on an error."""


def transactions(connect: Callable[[], Any]) -> Begin:
    """Transactions over one connection a thread, made by `connect` at first use and anew after any exception.

    With a pool, write your own: `with pool.connection() as connection, connection.cursor() as cursor: yield cursor`.
    """
    kept = threading.local()

    @contextmanager
    def begin() -> Iterator[Any]:
        connection = getattr(kept, "connection", None) if getattr(kept, "process", None) == os.getpid() else None
        if connection is None:
            connection = connect()
        kept.connection, kept.process = None, os.getpid()
        try:
            yield connection.cursor()
            connection.commit()
        except BaseException:
            with suppress(Exception):
                connection.close()
            raise
        kept.connection = connection

    return begin


class Write:
    """One transaction that changes data, and what it makes obsolete."""

    def __init__(self, record: Callable[[Collection[str]], list[OutboxRow]]) -> None:
        self._record = record
        self.rows: list[OutboxRow] = []
        self._outcome: Invalidation | None = None

    @property
    def outcome(self) -> Invalidation:
        """What became of the deletion.

        Raises:
            RuntimeError: the transaction is not committed: its block has not ended yet, or has raised.
        """
        if self._outcome is None:
            raise RuntimeError("this transaction is not committed; read `outcome` after its block")
        return self._outcome

    def invalidates(self, *keys: str) -> None:
        """Record these keys now, in the transaction; they are deleted once it is committed.

        Raises:
            TypeError, ValueError: a key is no str, or is too long; see `SqlOutbox.record`.
            RuntimeError: the block has ended.
        """
        if self._outcome is not None:
            begin = f"begin another one to invalidate {', '.join(checked(keys))}"
            raise RuntimeError(f"this transaction is committed; {begin}")
        self.rows += self._record(keys)


class SqlOutbox:
    """The tables of obsolete keys and of replayed servers: `record` and `transaction` fill them, a `Relay` reads them.

    Args:
        begin: a transaction of its own for each call of a relay, see `transactions`.
        dialect: "postgresql", "mysql" (MariaDB too) or "sqlite".
        paramstyle: what your driver's module says: "format", "pyformat" or "qmark". Default: "qmark" for sqlite,
            otherwise "format".
        table: default "cache_invalidations".
        servers_table: default "replayed_servers".

    Raises:
        ValueError: one of these is not among what is allowed.
    """

    def __init__(
        self,
        begin: Begin,
        *,
        dialect: Dialect,
        paramstyle: ParamStyle | None = None,
        table: str = "cache_invalidations",
        servers_table: str = "replayed_servers",
    ) -> None:
        _allowed("dialect", dialect, tuple(DIALECTS))
        _allowed("paramstyle", paramstyle or "format", get_args(ParamStyle))
        for name in (table, servers_table):
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?", name):
                raise ValueError(f"{name!r} is no name of a table: letters, digits and _, such as app.invalidations")
        self._begin, self._sql = begin, DIALECTS[dialect]
        self._names = {"table": table, "servers": servers_table, "index": f"{table.rpartition('.')[2]}_delivery"}
        self._names |= {"key": self._sql.key, "now": self._sql.now, "later": self._sql.later}
        self._mark = "?" if (paramstyle or self._sql.paramstyle) == "qmark" else "%s"

    def schema(self) -> list[str]:
        """The statements that create both tables where they are missing; run them as a role that may."""
        return [statement.format(**self._names) for statement in self._sql.schema]

    def record(self, cursor_or_connection: Any, keys: Collection[str]) -> list[OutboxRow]:
        """Insert a row for each key, in the transaction that changes the data: it commits with the change or never.

        After the commit `deliver` these rows; a relay delivers those of whoever does not get that far.

        Raises:
            TypeError, ValueError: a key is no str, or has more than 65,535 bytes (on MySQL 255 characters); nothing is
                inserted then.
        """
        given = list(dict.fromkeys(checked(keys)))
        for key in given:
            if (most := self._sql.most_characters) and len(key) > most:
                raise ValueError(f"a key in this outbox has {most} characters at most; this one has {len(key)}")
        if not given:
            return []
        cursor = cursor_or_connection
        if not hasattr(cursor, "fetchall"):
            cursor = cursor_or_connection.cursor()
        batches = [given[start : start + _BATCH] for start in range(0, len(given), _BATCH)]
        return [row for batch in batches for row in self._insert(cursor, batch)]

    @contextmanager
    def transaction(
        self, connection: Connection, cache: Cache, *, replicas: Replicas = Replicas.PRIMARY
    ) -> Iterator[Write]:
        """Commit what the block does on this connection together with what it invalidates, then delete that.

        A transaction that is open on the connection is committed with the block: begin it here. An exception in the
        block undoes all of it and deletes nothing. Once committed, nothing that fails is raised: see `Write.outcome`;
        what is pending stays recorded for the relay.

        Raises:
            TypeError: the cache is an `AsyncCacheAside`.
            ValueError: the connection commits each statement by itself.
            RuntimeError: the connection is in such a block already, or the block's writes were rolled back within it.
            Exception: what the block or the commit raises.
        """
        instead = (
            "with asyncio, call `record` in your transaction, and `await deliver_async(cache, rows)` after its commit"
        )
        refuse_async(cache, "transaction()", instead)
        if self._commits_by_itself(connection):
            raise ValueError(
                "the connection is in autocommit mode, so no transaction holds the write and its outbox row"
            )
        write = Write(partial(self.record, connection))
        with _alone(connection):
            try:
                yield write
                self._refuse_undone(connection, write.rows)
                connection.commit()
            except BaseException:
                with suppress(Exception):
                    connection.rollback()
                raise
        write._outcome = self._delivered(cache, write.rows, replicas, lambda ids: self._marked_on(connection, ids))

    def deliver(
        self, cache: Cache, rows: Sequence[OutboxRow], *, replicas: Replicas = Replicas.PRIMARY
    ) -> Invalidation:
        """Delete the keys of committed rows, all at once, and mark the rows. Nothing that fails is raised.

        What is pending, or not marked, the relay deletes again. No rows: nothing to do, and confirmed.

        Raises:
            TypeError: the cache is an `AsyncCacheAside`.
        """
        refuse_async(cache, "deliver()", "`await deliver_async(cache, rows)`")
        return self._delivered(cache, rows, replicas, self.mark_delivered)

    async def deliver_async(
        self, cache: AsyncCache, rows: Sequence[OutboxRow], *, replicas: Replicas = Replicas.PRIMARY
    ) -> Invalidation:
        """The same for an event loop; the rows are marked in a thread.

        Raises:
            TypeError: the cache is a `CacheAside`.
        """
        if not inspect.iscoroutinefunction(cache.invalidate):
            raise TypeError(f"deliver_async() needs an AsyncCacheAside, not {type(cache).__name__}: call deliver()")
        keys = tuple(dict.fromkeys(row.key for row in rows))
        try:
            outcome = await cache.invalidate(*keys, replicas=replicas)
        except Exception as error:  # noqa: BLE001 - the write is committed, and recorded
            outcome = _failed(keys, error)
        return await asyncio.to_thread(self._noted, outcome, rows, self.mark_delivered)

    def undelivered(self, limit: int) -> list[OutboxRow]:
        """See `Outbox`. It never asks for ids above the last one seen: a transaction that commits late has a lower."""
        statement = """
            SELECT id, {key}, attempts FROM {table}
            WHERE delivered_at IS NULL AND (retry_at IS NULL OR retry_at <= {now}) ORDER BY id LIMIT %s"""
        return self._rows(statement, limit)

    def recent(self, after_id: int, limit: int) -> list[OutboxRow]:
        """See `Outbox`."""
        statement = "SELECT id, {key}, attempts FROM {table} WHERE id > %s ORDER BY id LIMIT %s"
        return self._rows(statement, after_id, limit)

    def mark_delivered(self, ids: Collection[int]) -> None:
        """See `Outbox`. Those that are marked already keep their time."""
        with self._begin() as cursor:
            self._update(cursor, "delivered_at = {now}", "delivered_at IS NULL", (), ids)

    def quarantine(self, ids: Collection[int], retry_seconds: int) -> None:
        """See `Outbox`."""
        changes = "delivered_at = NULL, attempts = attempts + 1, retry_at = {later}"
        with self._begin() as cursor:
            self._update(cursor, changes, "0 = 0", (retry_seconds,), ids)

    def quarantined(self) -> int:
        """See `Outbox`."""
        statement = "SELECT COUNT(*) FROM {table} WHERE delivered_at IS NULL AND retry_at IS NOT NULL"
        with self._begin() as cursor:
            return int(self._run(cursor, statement).fetchall()[0][0])

    def purge(self, window_seconds: int) -> None:
        """See `Outbox`. Ages are measured by the database's clock alone."""
        with self._begin() as cursor:
            self._run(cursor, "DELETE FROM {table} WHERE delivered_at < {later}", -window_seconds)

    def is_replayed(self, replication_id: str) -> bool:
        """See `Outbox`; give it to `CacheAside.connect`, for policies with `fail_closed`."""
        with self._begin() as cursor:
            asked = self._run(cursor, "SELECT 1 FROM {servers} WHERE replication_id = %s", replication_id)
            return bool(asked.fetchall())

    def record_replayed(self, replication_id: str) -> None:
        """See `Outbox`."""
        with self._begin() as cursor:
            self._run(cursor, self._sql.insert_server, replication_id)

    def _insert(self, cursor: Any, keys: Sequence[str]) -> list[OutboxRow]:
        if not self._sql.returning:
            insert = "INSERT INTO {table} ({key}) VALUES (%s)"
            return [OutboxRow(self._run(cursor, insert, key).lastrowid, key) for key in keys]
        values = ", ".join(["(%s)"] * len(keys))
        found = self._run(cursor, f"INSERT INTO {{table}} ({{key}}) VALUES {values} RETURNING id, {{key}}", *keys)  # noqa: S608
        return [OutboxRow(*row) for row in found.fetchall()]

    def _delivered(
        self,
        cache: Cache,
        rows: Sequence[OutboxRow],
        replicas: Replicas,
        mark: Callable[[Collection[int]], None],
    ) -> Invalidation:
        keys = tuple(dict.fromkeys(row.key for row in rows))
        try:
            outcome = cache.invalidate(*keys, replicas=replicas)
        except Exception as error:  # noqa: BLE001 - the write is committed, and recorded
            outcome = _failed(keys, error)
        return self._noted(outcome, rows, mark)

    def _noted(
        self, outcome: Invalidation, rows: Sequence[OutboxRow], mark: Callable[[Collection[int]], None]
    ) -> Invalidation:
        if outcome.pending:
            _log.warning("the invalidation of %s is pending: %s", _named(outcome.keys), outcome.reason)
            return outcome
        try:
            mark([row.id for row in rows])
        except Exception as error:  # noqa: BLE001 - the relay deletes once more, and marks
            _log.warning("the invalidation of %s is not marked: %s", _named(outcome.keys), error)
        return outcome

    def _refuse_undone(self, connection: Connection, rows: Sequence[OutboxRow]) -> None:
        """An error that the block swallowed may have undone its writes, and a commit does not say so.

        PostgreSQL refuses any statement then, and MySQL (after a deadlock) and SQLite have lost the rows.
        """
        ids, cursor = [row.id for row in rows], connection.cursor()
        found: set[tuple[Any, ...]] = set()
        if not ids:
            self._run(cursor, "SELECT 1").fetchall()
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            marks = ", ".join(["%s"] * len(batch))
            asked = self._run(cursor, f"SELECT id, {{key}} FROM {{table}} WHERE id IN ({marks})", *batch)  # noqa: S608
            found |= {tuple(row) for row in asked.fetchall()}
        if not found >= {(row.id, row.key) for row in rows}:
            raise RuntimeError(
                "what the block wrote was rolled back within it, by an error that it swallowed or by rollback():"
                " let the error leave the block, then begin anew"
            )

    def _marked_on(self, connection: Connection, ids: Collection[int]) -> None:
        try:
            self._update(connection.cursor(), "delivered_at = {now}", "delivered_at IS NULL", (), ids)
            connection.commit()
        except BaseException:
            with suppress(Exception):
                connection.rollback()
            raise

    def _rows(self, statement: str, *parameters: object) -> list[OutboxRow]:
        with self._begin() as cursor:
            return [OutboxRow(*row) for row in self._run(cursor, statement, *parameters).fetchall()]

    def _update(
        self, cursor: Any, changes: str, where: str, parameters: Sequence[object], ids: Collection[int]
    ) -> None:
        given = tuple(ids)
        for start in range(0, len(given), _BATCH):
            batch = given[start : start + _BATCH]
            marks = ", ".join(["%s"] * len(batch))
            self._run(cursor, f"UPDATE {{table}} SET {changes} WHERE {where} AND id IN ({marks})", *parameters, *batch)  # noqa: S608

    def _commits_by_itself(self, connection: Any) -> bool:
        """PyMySQL and mysqlclient say it by `get_autocommit`, sqlite3 by a level of None, the others as in PEP 249."""
        if callable(asked := getattr(connection, "get_autocommit", None)):
            return bool(asked())
        if self._sql is DIALECTS["sqlite"] and getattr(connection, "isolation_level", "") is None:
            return True
        return getattr(connection, "autocommit", False) is True

    def _run(self, cursor: Any, statement: str, *parameters: object) -> Any:
        cursor.execute(statement.format(**self._names).replace("%s", self._mark), parameters)
        return cursor


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Refuse a block inside another one of this thread: its commit would be that of the outer one."""
    if not hasattr(_blocks, "connections"):
        _blocks.connections = set()
    mine: set[int] = _blocks.connections
    if id(connection) in mine:
        raise RuntimeError(
            "this connection is in a transaction() already, which the inner block would commit:"
            " use the outer block's write, or another connection"
        )
    mine.add(id(connection))
    try:
        yield
    finally:
        mine.discard(id(connection))


def _failed(keys: tuple[str, ...], error: Exception) -> Invalidation:
    _log.exception("the invalidation of %s failed", _named(keys))
    return Invalidation(keys, confirmed=False, reason=type(error).__name__)


def _named(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")


def _allowed(name: str, given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {given!r}")
