"""The library's outbox on SQLite, a database that needs no server."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cache_aside import SqlOutbox


class Table:
    """The outbox with these keys in it, all of them undelivered, and what tests ask of its table."""

    def __init__(self, *keys: str, file: Path | str = ":memory:") -> None:
        self.connection = sqlite3.connect(file, check_same_thread=False)
        self.outbox = SqlOutbox(self._begin, dialect="sqlite")
        with self._begin() as cursor:
            for statement in self.outbox.schema():
                cursor.execute(statement)
            self.outbox.record(cursor, keys)

    def undelivered(self) -> list[str]:
        """Keys of every row that is not marked, in quarantine or not."""
        found = self.connection.execute('SELECT "key" FROM cache_invalidations WHERE delivered_at IS NULL ORDER BY id')
        return [key for (key,) in found]

    def keys(self) -> list[str]:
        """Keys of every row that is left."""
        return [key for (key,) in self.connection.execute('SELECT "key" FROM cache_invalidations')]

    def quarantined(self) -> dict[str, int]:
        """How often each key in quarantine has been refused."""
        found = self.connection.execute(
            'SELECT "key", attempts FROM cache_invalidations WHERE delivered_at IS NULL AND retry_at IS NOT NULL'
        )
        return dict(found)

    def wait_out_quarantine(self) -> None:
        """As if every retry had come due."""
        self.connection.execute("UPDATE cache_invalidations SET retry_at = datetime('now') WHERE retry_at IS NOT NULL")
        self.connection.commit()

    @contextmanager
    def _begin(self) -> Iterator[sqlite3.Cursor]:
        with self.connection:
            yield self.connection.cursor()
