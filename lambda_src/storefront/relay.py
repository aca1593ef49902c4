"""Repeats the deletions that did not reach the cache, for as long as it takes; and those a failover may have lost."""

import logging
import threading

from cache_aside import CacheAside, Relay, RelayReport
from storefront.database import DatabaseUnavailableError
from storefront.repositories.outbox import OutboxRepository

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 600
"""How long a delivered row is kept, to be repeated after a failover: far longer than a replica lags behind the primary
and a run of the relay takes. How long the failover takes does not matter: nothing is removed until the relay reaches
the new primary and has repeated there all that is left."""


class InvalidationRelay:
    """Runs as often as it is told to, in a thread or as a scheduled function. Several at once do no harm."""

    def __init__(self, cache: CacheAside, outbox: OutboxRepository) -> None:
        self._relay = Relay(cache, outbox)
        self._outbox = outbox

    def run_once(self) -> RelayReport:
        """Delivers what is due, then removes what is no longer needed. DatabaseUnavailableError."""
        report = self._relay.run_once()
        if report.reachable:
            self._outbox.purge(WINDOW_SECONDS)
        return report

    def run_until(self, stopped: threading.Event, *, period_seconds: float) -> None:
        """Runs at this interval. Nothing but `stopped` ends it: without it deletions would stay undone."""
        while not stopped.wait(period_seconds):
            try:
                self.run_once()
            except DatabaseUnavailableError as error:
                logger.warning("the invalidation relay: the database is unavailable: %s", error)
            except Exception:
                logger.exception("the invalidation relay failed; it goes on")
