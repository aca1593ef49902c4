"""Deleting from the cache what a committed write made obsolete."""

import logging

from cache_aside import CacheAside, Invalidation, OutboxRow, Replicas
from storefront.database import DatabaseUnavailableError
from storefront.repositories.outbox import OutboxRepository

logger = logging.getLogger(__name__)


class Invalidator:
    """Delivers outbox rows at once, so that the relay finds only those whose deletion the cache did not confirm."""

    def __init__(self, cache: CacheAside, outbox: OutboxRepository) -> None:
        self._cache = cache
        self._outbox = outbox

    def deliver(self, row: OutboxRow, *, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Deletes the key and marks the row. Never raises: what is pending, or not marked, the relay deletes again."""
        outcome = self._cache.invalidate(row.key, replicas=replicas)
        if outcome.pending:
            logger.warning("the invalidation of %s is pending: %s", row.key, outcome.reason)
            return outcome
        try:
            self._outbox.mark_delivered([row.id])
        except DatabaseUnavailableError as error:
            logger.warning("the invalidation of %s is not marked: %s", row.key, error)
        return outcome
