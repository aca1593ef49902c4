"""Repeats the deletions that did not reach the cache, and those that a failover may have lost."""

import inspect
import logging
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from cache_aside.errors import CacheUnavailableError
from cache_aside.observe import Event, Observer, guarded
from cache_aside.results import Invalidation, Replicas

_BATCH = 500
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 60, 3600

_log = logging.getLogger("cache_aside")


class OutboxRow(msgspec.Struct, frozen=True):
    """One key that a committed transaction has made obsolete, and how often the cache has refused to delete it."""

    id: int
    key: str
    attempts: int = 0


class Outbox(Protocol):
    """The application's table of obsolete keys, each written in the transaction that changed the data.

    Each method is a transaction of its own. `SqlOutbox` is one for PostgreSQL, MySQL, MariaDB and SQLite.
    """

    def undelivered(self, limit: int) -> Sequence[OutboxRow]:
        """Committed rows that are not marked delivered, oldest first; of those in quarantine, the ones that are due."""
        ...

    def mark_delivered(self, ids: Collection[int]) -> None:
        """Note that the keys of these rows were deleted."""

    def quarantine(self, ids: Collection[int], retry_seconds: int) -> None:
        """Note one more refused attempt: not delivered, even if marked so before, and due after so many seconds."""

    def quarantined(self) -> int:
        """How many undelivered rows have been refused, due or not."""
        ...

    def recent(self, after_id: int, limit: int) -> Sequence[OutboxRow]:
        """Rows that `purge` has left, delivered or not, with ids above this one, in the order of their ids."""
        ...

    def purge(self, window_seconds: int) -> None:
        """Remove rows that were delivered longer ago than that."""

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


def refuse_async(cache: object, who: str, instead: str) -> None:
    """Raise a TypeError for an `AsyncCacheAside`, whose deletions would be coroutines that nobody awaits."""
    if inspect.iscoroutinefunction(getattr(cache, "invalidate", None)):
        raise TypeError(f"{who} needs a CacheAside, not {type(cache).__name__}: {instead}")


class RelayReport(msgspec.Struct, frozen=True):
    """What one run did, and how many rows are in quarantine after it."""

    delivered: int = 0
    replayed: int = 0
    quarantined: int = 0
    reachable: bool = True


class Relay:
    """Run it in a thread about every second, or as a scheduled function every minute; several at once do no harm.

    The bound on staleness after a failover is its period, the time of a run, and the failover itself.

    A row whose key the cache refuses to delete (no permission, a key that cannot be sent) holds up no other: it is
    tried again after 1 minute, then after twice as long each time, at most an hour. The first refusal is logged;
    `Event.QUARANTINED` is told on each run until the row is delivered, or deleted by an operator.

    Args:
        cache: the client that deletes.
        outbox: where the rows are.
        window_seconds: how long a delivered row is kept, to be repeated after a failover: far longer than a replica
            lags behind. Default 600.
        observer: default: nobody.

    Raises:
        TypeError: the cache is an `AsyncCacheAside`.
    """

    def __init__(
        self, cache: Cache, outbox: Outbox, *, window_seconds: int = 600, observer: Observer | None = None
    ) -> None:
        refuse_async(cache, "a Relay", "give it a CacheAside of its own, beside the service's AsyncCacheAside")
        self._cache, self._outbox, self._window_seconds = cache, outbox, window_seconds
        self._observer = guarded(observer)
        self._repeated_on = ""  # the replication history on which this relay has repeated every deletion it could

    def run_once(self) -> RelayReport:
        """Deliver what is due; the report says whether the cache could be reached, and nothing is raised if not.

        Raises:
            Exception: whatever the database raises. No row is lost by it: the next run begins anew.
        """
        replayed = delivered = 0
        reachable = False
        try:
            replication_id = self._cache.replication_id()
            new = not self._outbox.is_replayed(replication_id)
            while rows := self._outbox.undelivered(_BATCH):
                for number in self._deliver(rows):
                    delivered += number
            if new and self._repeated_on != replication_id:
                for number in self._replay(replication_id):
                    replayed += number
            if new:
                self._trust(replication_id)
            self._outbox.purge(self._window_seconds)
            reachable = True
        except CacheUnavailableError as error:
            _log.info("the invalidation relay cannot reach the cache: %s", error)
        quarantined = self._outbox.quarantined()
        if quarantined:
            self._observer.on_event("", Event.QUARANTINED, 0.0)
        return RelayReport(delivered, replayed, quarantined, reachable)

    def run_until(self, stopped: threading.Event, *, period_seconds: float = 1.0) -> None:
        """Run at this interval. Nothing but `stopped` ends it: without it, deletions would stay undone."""
        failing = False
        while not stopped.wait(period_seconds):
            try:
                self.run_once()
            except Exception:  # noqa: BLE001 - the database's, or a mistake
                if not failing:
                    _log.exception("the invalidation relay fails and tries again every %s s", period_seconds)
                failing = True
            else:
                if failing:
                    _log.warning("the invalidation relay works again")
                failing = False

    def _replay(self, replication_id: str) -> Iterator[int]:
        """Repeat the deletions of the window, for nobody has repeated all of them on this replication history."""
        last = 0
        while rows := self._outbox.recent(last, _BATCH):
            yield from self._deliver(rows)
            last = rows[-1].id
        # After a second failover meanwhile, this server has not seen the first of these deletions.
        if self._cache.replication_id() == replication_id:
            self._repeated_on = replication_id

    def _trust(self, replication_id: str) -> None:
        """Note that all was repeated. While a row is in quarantine, its key may hold what a failover brought back."""
        if self._outbox.quarantined() or self._repeated_on != replication_id:
            return
        if self._cache.replication_id() == replication_id:
            self._outbox.record_replayed(replication_id)

    def _deliver(self, rows: Sequence[OutboxRow]) -> Iterator[int]:
        """Delete the keys together; where that is refused, in halves, until those that are refused are alone.

        Yields how many rows were delivered.
        """
        refusal = self._refusal(rows)
        if not refusal:
            self._outbox.mark_delivered([row.id for row in rows])
            yield len(rows)
        elif len({row.key for row in rows}) == 1:
            self._quarantine(rows, refusal)
        else:
            half = len(rows) // 2
            yield from self._deliver(rows[:half])
            yield from self._deliver(rows[half:])

    def _refusal(self, rows: Sequence[OutboxRow]) -> str:
        """Delete the keys; why the cache refuses that, or nothing.

        Raises:
            CacheUnavailableError: it says nothing about these keys; all of them have to wait.
        """
        try:
            outcome = self._cache.invalidate(*dict.fromkeys(row.key for row in rows))
        except CacheUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - a key that cannot be sent, which the words might contain
            return type(error).__name__
        if outcome.pending and not outcome.refused:
            raise CacheUnavailableError(outcome.reason)
        return (outcome.reason or "no reason given") if outcome.refused else ""

    def _quarantine(self, rows: Sequence[OutboxRow], reason: str) -> None:
        attempts = max(row.attempts for row in rows)
        retry_seconds = min(_FIRST_RETRY_SECONDS * 2 ** min(attempts, 16), _LONGEST_RETRY_SECONDS)
        self._outbox.quarantine([row.id for row in rows], retry_seconds)
        if new := [row.id for row in rows if not row.attempts]:
            # The id and not the key, which may be somebody's address.
            _log.error("the cache refuses the deletion of outbox rows %s, which are kept and retried: %s", new, reason)
