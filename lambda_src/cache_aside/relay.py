"""Repeats the deletions that did not reach the cache, and those that a failover may have lost."""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from cache_aside.errors import CacheUnavailableError
from cache_aside.results import Invalidation, Replicas

_BATCH = 500


class OutboxRow(msgspec.Struct, frozen=True):
    """One key that a committed transaction has made obsolete."""

    id: int
    key: str


class Outbox(Protocol):
    """The application's table of obsolete keys, each written in the transaction that changed the data.

    Each method is a transaction of its own.
    """

    def undelivered(self, limit: int) -> Sequence[OutboxRow]:
        """Committed rows that are not marked delivered, oldest first."""
        ...

    def mark_delivered(self, ids: Collection[int]) -> None:
        """Note that the keys of these rows were deleted."""

    def recent_keys(self) -> Sequence[str]:
        """The keys of every row young enough that a failover may have lost its deletion, delivered or not."""
        ...

    def is_replayed(self, replication_id: str) -> bool:
        """Whether the deletions of the window before this replication history began were repeated on it."""
        ...

    def record_replayed(self, replication_id: str) -> None:
        """Note that they were."""


class Cache(Protocol):
    """What a relay needs of a `CacheAside`."""

    def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Delete keys."""
        ...

    def replication_id(self) -> str:
        """Which replication history the primary serves."""
        ...


class RelayReport(msgspec.Struct, frozen=True):
    """What one run did."""

    delivered: int = 0
    replayed: int = 0
    reachable: bool = True


class Relay:
    """Run it in a thread about every second, or as a scheduled function every minute; several at once do no harm.

    The bound on staleness after a failover is its period, the time of a run, and the failover itself.
    """

    def __init__(self, cache: Cache, outbox: Outbox) -> None:
        self._cache, self._outbox = cache, outbox

    def run_once(self) -> RelayReport:
        """Deliver what is due; the report says whether the cache could be reached, and nothing is raised if not."""
        try:
            replayed = self._replay()
        except CacheUnavailableError:
            return RelayReport(reachable=False)
        delivered = 0
        while rows := self._outbox.undelivered(_BATCH):
            if self._cache.invalidate(*dict.fromkeys(row.key for row in rows)).pending:
                return RelayReport(delivered, replayed, reachable=False)
            self._outbox.mark_delivered([row.id for row in rows])
            delivered += len(rows)
        return RelayReport(delivered, replayed)

    def _replay(self) -> int:
        """Repeat the deletions of the window if the primary serves a history that nobody has repeated them on."""
        replication_id = self._cache.replication_id()
        if self._outbox.is_replayed(replication_id):
            return 0
        keys = tuple(dict.fromkeys(self._outbox.recent_keys()))
        for start in range(0, len(keys), _BATCH):
            if self._cache.invalidate(*keys[start : start + _BATCH]).pending:
                raise CacheUnavailableError("a replayed deletion is pending")
        # A second failover meanwhile would have been a server that has not seen the first of these deletions.
        if self._cache.replication_id() == replication_id:
            self._outbox.record_replayed(replication_id)
        return len(keys)
