"""The database of the history check: versioned items, and the outbox that each write fills."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from cache_aside import LoadUnavailableError, SqlOutbox

_ITEMS = "CREATE TABLE item (key text PRIMARY KEY, version bigint NOT NULL)"
_BUMP = "UPDATE item SET version = version + 1 WHERE key = %s RETURNING version"
_WRITE = """
WITH bumped AS (UPDATE item SET version = version + 1 WHERE key = %(key)s RETURNING version),
     noted AS (INSERT INTO cache_invalidations (key) VALUES (%(key)s) RETURNING id)
SELECT version, id FROM bumped, noted
"""


class Database:
    """One connection of one thread, opened again after a failure."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[TupleRow] | None = None
        self.outbox = SqlOutbox(self._begin, dialect="postgresql")

    def create(self, keys: Sequence[str]) -> None:
        """Make the tables, every item at version 0."""
        for statement in (_ITEMS, *self.outbox.schema()):
            self._run(statement)
        for key in keys:
            self._run("INSERT INTO item VALUES (%s, 0)", key)

    def version(self, key: str) -> int:
        """The committed version; LoadUnavailableError when the database cannot answer."""
        return int(self._run("SELECT version FROM item WHERE key = %s", key)[0][0])

    def write(self, key: str, *, outbox: bool = True) -> tuple[int, list[int]]:
        """Commit the next version with its outbox row: the version, and that row's id."""
        if not outbox:
            return int(self._run(_BUMP, key)[0][0]), []
        version, row = self._run(_WRITE, {"key": key})[0]
        return int(version), [int(row)]

    def _run(self, statement: str, *parameters: Any) -> list[TupleRow]:
        named = parameters[0] if parameters and isinstance(parameters[0], dict) else None
        with self._begin() as cursor:
            cursor.execute(statement.encode(), named or parameters or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _begin(self) -> Iterator[psycopg.Cursor[TupleRow]]:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=2)
            with self._connection.cursor() as cursor:
                yield cursor
        except psycopg.OperationalError as error:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.close()
            self._connection = None
            raise LoadUnavailableError(str(error)) from error
