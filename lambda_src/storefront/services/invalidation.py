"""Deleting from the cache what a committed write made obsolete."""

from collections.abc import Sequence

from cache_aside import CacheAside, Invalidation, OutboxRow, Replicas, SqlOutbox


class Invalidator:
    """Delivers outbox rows at once, so that the relay finds only those whose deletion the cache did not confirm."""

    def __init__(self, cache: CacheAside, outbox: SqlOutbox) -> None:
        self._cache = cache
        self._outbox = outbox

    def deliver(self, rows: Sequence[OutboxRow], *, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Deletes the keys and marks the rows. Never raises: the relay repeats what is pending or not marked."""
        return self._outbox.deliver(self._cache, rows, replicas=replicas)
