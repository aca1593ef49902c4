"""The slow path of a read: take the leases, load, fill; wait for what others load; go past the cache when it fails."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from cache_aside.commands import Load, Op, Pause, RoundTrip, Steps, get
from cache_aside.envelope import Entry, State
from cache_aside.errors import CacheUnavailableError
from cache_aside.flights import Flight
from cache_aside.observe import Event
from cache_aside.policy import Policy
from cache_aside.results import Result, Served
from cache_aside.surroundings import Surroundings
from cache_aside.writes import Bid, bid, fill, undo

T = TypeVar("T")
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.002, 0.025
_PAUSE_SHARE = 0.1  # of the time waited so far: nobody waits a tenth longer than the load takes


class Fill(Generic[T]):
    """One reader's way to a result for each of its keys that are not fresh in the cache."""

    def __init__(self, here: Surroundings, policy: Policy[T], entries: dict[str, Entry[T]]) -> None:
        self._here, self._policy = here, policy
        self._waiting = entries
        self.results: dict[str, Result[T]] = {}
        patience = policy.patience_seconds
        if policy.soft_timeout_seconds is not None and all(entry.stale_ok for entry in entries.values()):
            patience = min(patience, policy.soft_timeout_seconds)
        self.deadline = here.monotonic() + patience
        self.flight: Flight | None = None

    def run(self) -> Steps[dict[str, Result[T]]]:
        """Load what nobody loads, wait for the rest."""
        started = self._here.monotonic()
        while (held := (yield from self._acquire())) is not None:
            if held:
                yield from self._load_and_fill(held)
            if not self._waiting:
                return self.results
            now = self._here.monotonic()
            if now >= self.deadline:
                break
            yield Pause(min(max((now - started) * _PAUSE_SHARE, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS))
            if not (yield from self.look_again()):
                break
        return (yield from self.load_past())

    def look_again(self) -> Steps[bool]:
        """Read the keys anew; those that have become fresh are hits. False when the cache does not answer."""
        keys = tuple(self._waiting)
        replies = yield from self._trip([get(key) for key in keys])
        if replies is None:
            return False
        for key, raw in zip(keys, replies, strict=True):
            self._found(key, raw)
        return True

    def load_past(self) -> Steps[dict[str, Result[T]]]:
        """Answer the rest without the cache, and without filling it."""
        for key, entry in tuple(self._waiting.items()):
            if entry.state is State.FRESH:
                self._settle(key, entry.value, Served.HIT)
            elif entry.stale_ok and self._policy.soft_timeout_seconds is not None:
                self._settle(key, entry.value, Served.STALE)
        if not self._waiting:
            return self.results
        try:
            values = yield from self._load(tuple(self._waiting), limited=True)
        except Exception as error:  # noqa: BLE001 - raised again unless every key has a value to stand in
            return self.stand_in(error)
        for key in tuple(self._waiting):
            self._settle(key, values.get(key), Served.BYPASS)
        return self.results

    def stand_in(self, error: Exception) -> dict[str, Result[T]]:
        """Serve what this reader found instead of a load that failed; raise the error where that is nothing."""
        excused = isinstance(error, self._policy.stale_errors)
        for key, entry in tuple(self._waiting.items()):
            if entry.state is State.FRESH:
                self._settle(key, entry.value, Served.HIT)
            elif excused and entry.stale_ok:
                self._settle(key, entry.value, Served.STALE)
        if self._waiting:
            raise error
        return self.results

    def _acquire(self) -> Steps[dict[str, Bid[T]] | None]:
        """Bid for every key that nobody loads: what was won. None when the cache does not answer."""
        now = self._here.clock()
        bids = {key: mine for key, entry in self._waiting.items() if (mine := bid(self._policy, key, entry, now))}
        if not bids:
            return {}
        replies = yield from self._trip([mine.op for mine in bids.values()])
        if replies is None:
            return None
        held = {}
        for (key, mine), reply in zip(bids.items(), replies, strict=True):
            if mine.won(reply):
                held[key] = mine
            elif mine.entry.state is State.ABSENT:
                self._found(key, reply)
            elif mine.entry.state is State.FRESH:
                self._settle(key, mine.entry.value, Served.HIT)
            if mine.entry.state is State.UNREADABLE:
                self._note(Event.UNREADABLE)
        return held

    def _load_and_fill(self, held: Mapping[str, Bid[T]]) -> Steps[None]:
        started = self._here.monotonic()
        try:
            values = yield from self._load(tuple(held))
            seconds = self._here.monotonic() - started
            ops = [self._fill(key, mine, values.get(key), seconds) for key, mine in held.items()]
        except BaseException as error:
            now = self._here.clock()
            yield from self._trip([undo(self._policy, key, mine, now) for key, mine in held.items()])
            if not isinstance(error, Exception):
                raise
            if self.flight is not None:
                self.flight.error = error
            self.stand_in(error)
            return
        if self.flight is not None:
            self.flight.vouch(values.get(self.flight.key))
        replies = yield from self._trip(ops)
        for key, accepted in zip(held, replies or [0] * len(ops), strict=True):
            if not accepted:
                self._note(Event.FILL_REFUSED)
            elif self.flight is not None:
                self.flight.vouch(values.get(key))
            self._settle(key, values.get(key), Served.MISS)

    def _fill(self, key: str, mine: Bid[T], value: T | None, load_seconds: float) -> Op:
        lifetime = self._policy.lifetime_seconds(value)
        envelope = None
        if lifetime > 0:
            expires = self._here.clock() + lifetime
            envelope = self._policy.codec.encode(value, expires=expires, load_seconds=load_seconds)
            if len(envelope) > self._policy.max_bytes:
                self._note(Event.TOO_LARGE)
                envelope = None
        return fill(key, mine, envelope, lifetime + self._policy.stale_seconds(value))

    def _load(self, keys: tuple[str, ...], *, limited: bool = False) -> Steps[Any]:
        self._next_turn()
        started = self._here.monotonic()
        event = Event.LOAD_ERROR
        try:
            values = yield Load(keys, self._policy.load_timeout_seconds, limited)
            event = Event.LOAD
            return values
        finally:
            self._note(event, self._here.monotonic() - started)

    def _trip(self, ops: Sequence[Op]) -> Steps[list[Any] | None]:
        """The replies; None when the cache does not answer."""
        self._next_turn()
        try:
            replies: list[Any] = yield RoundTrip(ops, self._policy.fail_closed)
        except CacheUnavailableError:
            return None
        return replies

    def _next_turn(self) -> None:
        if self.flight is not None:
            self.flight.turn += 1

    def _found(self, key: str, raw: bytes | None) -> None:
        entry = self._policy.codec.read(raw, self._here.clock(), self._here.draw)
        if entry.state is State.FRESH:
            if self.flight is not None:
                self.flight.vouch(entry.value)
            self._settle(key, entry.value, Served.HIT)
        else:
            self._waiting[key] = entry

    def _settle(self, key: str, value: T | None, served: Served) -> None:
        self._waiting.pop(key, None)
        self.results[key] = Result(value, served)

    def _note(self, event: Event, seconds: float = 0.0) -> None:
        self._here.observer.on_event(self._policy.name, event, seconds)
