"""Ends the relay at each of its steps, with keys among its rows that the cache refuses, and looks for what got lost."""

import itertools
from collections.abc import Callable, Collection

from cache_aside import Invalidation, Relay, Replicas
from faults.outbox_table import Table

SERVER = "a" * 40
KEYS = tuple(f"product:{number}" for number in range(6))
_STEPS = ("undelivered", "mark_delivered", "quarantine", "quarantined", "recent", "purge", "record_replayed")


class PickyCache:
    """A cache that refuses some keys, in whatever company, and remembers what it deleted and how often it was asked."""

    def __init__(self, refuses: Collection[str] = (), cannot_send: Collection[str] = ()) -> None:
        self.refuses, self.cannot_send = set(refuses), set(cannot_send)
        self.deleted: list[str] = []
        self.calls = 0

    def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Delete the keys, or none of them."""
        self.calls += 1
        if self.cannot_send & set(keys):
            raise UnicodeEncodeError("utf-8", "a secret", 0, 1, "surrogates not allowed")
        if self.refuses & set(keys):
            return Invalidation(keys, confirmed=False, reason="No permissions to access a key", refused=True)
        self.deleted += keys
        return Invalidation(keys, confirmed=True)

    def replication_id(self) -> str:
        """Always the same server."""
        return SERVER


class StopError(BaseException):
    """An exception that comes from outside: a signal, a timeout."""


class _Interrupting:
    """Raises at one of the calls that it watches, before or after the call has had its effect."""

    def __init__(self, step: int, *, after: bool) -> None:
        self._left, self._after = step, after

    def watch(self, target: object, *names: str) -> None:
        for name in names:
            setattr(target, name, self._watched(getattr(target, name)))

    def disarm(self) -> None:
        self._left = 0

    def _watched(self, method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise StopError
            result = method(*args, **kwargs)
            if self._left == 0:
                raise StopError
            return result

        return call


def wrong() -> str:
    """What went wrong in any of the runs; empty: nothing."""
    for refuses, after, replay in itertools.product(((), KEYS[2:3], KEYS[1:5:3]), (False, True), (False, True)):
        for step in itertools.count(1):
            table, cache = Table(*KEYS), PickyCache(refuses)
            if replay:  # all was deleted on a server that a failover has replaced
                table.outbox.mark_delivered([row.id for row in table.outbox.undelivered(100)])
            else:
                table.outbox.record_replayed(SERVER)
            interrupting = _Interrupting(step, after=after)
            interrupting.watch(table.outbox, *_STEPS)
            interrupting.watch(cache, "invalidate")
            ended = _run(table, cache)
            interrupting.disarm()
            if found := _lost(table, cache, replay=replay) or _left_behind(table, cache):
                return f"{found}, when step {step} of the relay was interrupted and {refuses or 'nothing'} refused"
            if ended:
                break
    return ""


def _run(table: Table, cache: PickyCache) -> bool:
    """Whether the run came to its end."""
    try:
        Relay(cache, table.outbox, window_seconds=-3600).run_once()
    except StopError:
        return False
    return True


def _lost(table: Table, cache: PickyCache, *, replay: bool) -> str:
    kept = table.keys() if replay and not table.outbox.is_replayed(SERVER) else table.undelivered()
    lost = set(KEYS) - set(cache.deleted) - set(kept)
    if replay and table.outbox.is_replayed(SERVER):
        lost = set(KEYS) - set(cache.deleted)
    return f"{sorted(lost)} lost" if lost else ""


def _left_behind(table: Table, cache: PickyCache) -> str:
    """What the runs that follow do not make good."""
    _run(table, cache)
    if held_up := set(KEYS) - set(cache.deleted) - cache.refuses:
        return f"{sorted(held_up)} held up by others"
    cache.refuses.clear()
    table.wait_out_quarantine()
    _run(table, cache)
    if never := set(KEYS) - set(cache.deleted):
        return f"{sorted(never)} never deleted"
    return f"{table.undelivered()} never marked" if table.undelivered() else ""
