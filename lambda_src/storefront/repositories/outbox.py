"""The tables `cache_invalidations`, in which every write records what it made obsolete, and `replayed_servers`."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta

from cache_aside import OutboxRow
from storefront.database import Connection, Database, DuplicateError, placeholders


def record(connection: Connection, key: str) -> OutboxRow:
    """The row for a key that the transaction of this connection makes obsolete: it commits with the change or never."""
    return OutboxRow(connection.insert('INSERT INTO cache_invalidations ("key") VALUES (%(key)s)', {"key": key}), key)


def record_all(connection: Connection, keys: Sequence[str]) -> list[OutboxRow]:
    """The rows for these keys, in two statements however many they are."""
    if not keys:
        return []
    insert = 'INSERT INTO cache_invalidations ("key") VALUES'
    connection.change(f"{insert} {', '.join(['(%s)'] * len(keys))}", keys)
    select = 'SELECT id, "key" FROM cache_invalidations WHERE delivered_at IS NULL AND "key" IN'
    return [OutboxRow(*row) for row in connection.rows(f"{select} ({placeholders(keys)})", keys)]


class OutboxRepository:
    """A `cache_aside.Outbox`. The rows themselves are written by the transactions that change the data.

    `undelivered` asks for unmarked rows and never for ids above the last one seen: ids are handed out before a
    transaction commits, so that a late one would be skipped for good. Ages are measured by the database's clock alone.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def undelivered(self, limit: int) -> Sequence[OutboxRow]:
        """Committed rows that are not marked delivered, oldest first."""
        statement = """
            SELECT id, "key" FROM cache_invalidations WHERE delivered_at IS NULL ORDER BY id LIMIT %(limit)s"""
        return [OutboxRow(*row) for row in self._database.read(statement, {"limit": limit})]

    def mark_delivered(self, ids: Collection[int]) -> None:
        """Notes when the keys of these rows were deleted, unless that is known already."""
        given = tuple(ids)
        if not given:
            return
        statement = "UPDATE cache_invalidations SET delivered_at = CURRENT_TIMESTAMP(6) WHERE delivered_at IS NULL"
        self._database.write(f"{statement} AND id IN ({placeholders(given)})", given)

    def recent_keys(self) -> Sequence[str]:
        """The keys of every row that `purge` has left."""
        return [row[0] for row in self._database.read('SELECT DISTINCT "key" FROM cache_invalidations')]

    def purge(self, window_seconds: int) -> None:
        """Removes rows that were delivered longer ago than that. Only after a replay on the present server, if due."""
        now = self._database.read("SELECT CURRENT_TIMESTAMP(6)")[0][0]
        statement = "DELETE FROM cache_invalidations WHERE delivered_at < %(before)s"
        self._database.write(statement, {"before": now - timedelta(seconds=window_seconds)})

    def is_replayed(self, replication_id: str) -> bool:
        """Whether `record_replayed` was called with this id."""
        statement = "SELECT 1 FROM replayed_servers WHERE replication_id = %(id)s"
        return bool(self._database.read(statement, {"id": replication_id}))

    def record_replayed(self, replication_id: str) -> None:
        """Notes that every deletion that this server may have missed was repeated on it."""
        with suppress(DuplicateError):
            self._database.write(
                "INSERT INTO replayed_servers (replication_id) VALUES (%(id)s)", {"id": replication_id}
            )
