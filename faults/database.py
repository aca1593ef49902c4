"""The database of the history check: versioned items, and the outbox that each write fills."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from cache_aside import LoadUnavailableError, OutboxRow

_SCHEMA = """
CREATE TABLE item (key text PRIMARY KEY, version bigint NOT NULL);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    delivered boolean NOT NULL DEFAULT false
);
CREATE INDEX undelivered ON outbox (id) WHERE NOT delivered;
CREATE TABLE replayed (replication_id text PRIMARY KEY);
"""
_BUMP = "UPDATE item SET version = version + 1 WHERE key = %s RETURNING version"
_WRITE = """
WITH bumped AS (UPDATE item SET version = version + 1 WHERE key = %(key)s RETURNING version),
     noted AS (INSERT INTO outbox (key) VALUES (%(key)s) RETURNING id)
SELECT version, id FROM bumped, noted
"""


class Database:
    """One connection of one thread, opened again after a failure."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[TupleRow] | None = None

    def create(self, keys: Sequence[str]) -> None:
        """Make the tables, every item at version 0."""
        self._run(_SCHEMA)
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

    def undelivered(self, limit: int) -> Sequence[OutboxRow]:
        rows = self._run("SELECT id, key FROM outbox WHERE NOT delivered ORDER BY id LIMIT %s", limit)
        return [OutboxRow(int(row), key) for row, key in rows]

    def mark_delivered(self, ids: Collection[int]) -> None:
        if ids:
            self._run("UPDATE outbox SET delivered = true WHERE id = ANY(%s)", list(ids))

    def recent_keys(self) -> Sequence[str]:
        rows = self._run("SELECT DISTINCT key FROM outbox WHERE written_at > now() - interval '1 minute'")
        return [key for (key,) in rows]

    def is_replayed(self, replication_id: str) -> bool:
        return bool(self._run("SELECT FROM replayed WHERE replication_id = %s", replication_id))

    def record_replayed(self, replication_id: str) -> None:
        self._run("INSERT INTO replayed VALUES (%s) ON CONFLICT DO NOTHING", replication_id)

    def _run(self, statement: str, *parameters: Any) -> list[TupleRow]:
        named = parameters[0] if parameters and isinstance(parameters[0], dict) else None
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=2)
            cursor = self._connection.execute(statement.encode(), named or parameters or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError as error:
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.close()
            self._connection = None
            raise LoadUnavailableError(str(error)) from error
