"""What a request costs: the statements that the database ran, and the commands that the cache did."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import redis

from storefront.database import Connection, Parameters, Row

# What connecting and asking for these statistics adds.
_OVERHEAD = {"info", "auth", "hello", "client", "client|setinfo", "select", "ping", "role"}


class RecordingConnection:
    """A `storefront.database.Connection` that tells `note` of every statement and passes it on."""

    def __init__(self, connection: Connection, note: Callable[[str, Parameters], None]) -> None:
        self._connection, self._note = connection, note
        self.dialect, self.failed = connection.dialect, False

    def rows(self, statement: LiteralString, parameters: Parameters) -> list[Row]:
        """See `Connection`."""
        self._note(statement, parameters)
        return self._connection.rows(statement, parameters)

    def change(self, statement: LiteralString, parameters: Parameters) -> int:
        """See `Connection`."""
        self._note(statement, parameters)
        return self._connection.change(statement, parameters)

    def insert(self, statement: LiteralString, parameters: Parameters) -> int:
        """See `Connection`."""
        self._note(statement, parameters)
        return self._connection.insert(statement, parameters)

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """See `Connection`."""
        with self._connection.cursor() as cursor:
            yield _RecordingCursor(cursor, self._note)

    def closed(self) -> bool:
        """See `Connection`."""
        return self._connection.closed()

    def close(self) -> None:
        """See `Connection`."""
        self._connection.close()


class _RecordingCursor:
    """The same for a cursor."""

    def __init__(self, cursor: Any, note: Callable[[str, Parameters], None]) -> None:
        self._cursor, self._note = cursor, note

    def execute(self, statement: str, parameters: Parameters) -> None:
        self._note(statement, parameters)
        self._cursor.execute(statement, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def commands_of(cache: redis.Redis, action: Callable[[], object]) -> Counter[str]:
    """The commands that the cache ran for others during the action, by name."""
    before = _commands(cache)
    action()
    return _commands(cache) - before


def _commands(cache: redis.Redis) -> Counter[str]:
    statistics = cache.info("commandstats")
    counts = {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in statistics.items()}
    return Counter({name: calls for name, calls in counts.items() if name not in _OVERHEAD})
