"""Deleting from the cache what a committed write made obsolete."""

import logging
from collections.abc import Sequence

from cache_aside import CacheAside, Invalidation, OutboxRow, Replicas
from storefront.database import DatabaseUnavailableError
from storefront.repositories.outbox import OutboxRepository

_NAMED = 3  # as many keys as a line of the log names

logger = logging.getLogger(__name__)


class Invalidator:
    """Delivers outbox rows at once, so that the relay finds only those whose deletion the cache did not confirm."""

    def __init__(self, cache: CacheAside, outbox: OutboxRepository) -> None:
        self._cache = cache
        self._outbox = outbox

    def deliver(self, *rows: OutboxRow, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Deletes the keys and marks the rows. Never raises: what is pending, or not marked, the relay deletes again.

        However many they are: one deletion, one statement. No rows: nothing to do, and confirmed.
        """
        keys = [row.key for row in rows]
        outcome = self._cache.invalidate(*keys, replicas=replicas)
        if outcome.pending:
            logger.warning("the invalidation of %s is pending: %s", _named(keys), outcome.reason)
            return outcome
        try:
            self._outbox.mark_delivered([row.id for row in rows])
        except DatabaseUnavailableError as error:
            logger.warning("the invalidation of %s is not marked: %s", _named(keys), error)
        return outcome


def _named(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
