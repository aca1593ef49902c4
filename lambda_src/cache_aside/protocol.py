"""The read protocol, free of I/O: one implementation for the sync client, the async client and the model checker.

Rule: a read that begins after a write was acknowledged (committed, then its key deleted) never returns an older value.
Why it holds:
- A load begins after its lease is in the cache. The fill replaces exactly that lease, so it is accepted only if no DEL
  came between, and then every write whose DEL comes later removes it.
- A refresh starts from the exact bytes of an envelope, unique by its nonce; the same argument holds.
- A hit is what the cache holds now. A reader that joined another one uses its value only if it joined before the load
  began, or before the fill was sent that the cache accepted, or before the GET was sent that found the value: so the
  database or the cache vouched for the value after that reader began.
- Whoever loads, to fill or not, began its read before its load.
A key that is written without a pause makes nobody wait for long: whose load was overtaken has its own value, those who
wake look again and then join before the next load begins, as a rule, and so share it, overtaken or not.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from cache_aside.envelope import Entry, State
from cache_aside.errors import CacheUnavailableError
from cache_aside.flights import Flight, Flights
from cache_aside.leases import Bid, bid, fill, get, release, undo
from cache_aside.observe import SILENT, Event, Observer
from cache_aside.policy import Policy
from cache_aside.results import Result, Served
from cache_aside.steps import Background, Command, Join, Load, Pause, RoundTrip, Steps

T = TypeVar("T")
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.002, 0.025
_PAUSE_SHARE = 0.1  # of the time waited so far: nobody waits a tenth longer than the load takes


class Surroundings(msgspec.Struct):
    """What the protocol knows about its process; tests put their own clocks and dice here."""

    flights: Flights
    observer: Observer = SILENT
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random


class ReadThrough:
    """Reads of one process: 1 round trip for a hit, at most 3 for a miss that nobody else loads."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._here = surroundings

    def get(self, key: str, policy: Policy[T], *, behind: bool = False) -> Steps[Result[T]]:
        """One key. Behind: the load may go on when its caller has left, as it brings its own arguments."""
        try:
            (raw,) = yield RoundTrip((get(key),), policy.fail_closed)
        except CacheUnavailableError:
            return (yield from Miss(self._here, policy, {key: Entry(State.ABSENT)}).load_past())[key]
        entry = policy.codec.read(raw, self._here.clock(), self._here.draw)
        if entry.state is State.FRESH:
            if entry.refresh_due:
                return (yield from self._refresh(key, entry, policy, behind=behind))
            return Result(entry.value, Served.HIT)
        soft = policy.soft_timeout_seconds
        if behind and soft is not None and entry.stale_ok:
            result = yield Background(self._miss(key, entry, policy), soft)
            return result if result is not None else Result(entry.value, Served.STALE)
        return (yield from self._miss(key, entry, policy))

    def get_many(self, keys: Sequence[str], policy: Policy[T]) -> Steps[dict[str, Result[T]]]:
        """Many keys, one load: a round trip to read them all, one to take the leases, one to miss."""
        keys = tuple(dict.fromkeys(keys))
        if not keys:
            return {}
        try:
            (raws,) = yield RoundTrip((("MGET", *keys),), policy.fail_closed)
        except CacheUnavailableError:
            return (yield from Miss(self._here, policy, {key: Entry(State.ABSENT) for key in keys}).load_past())
        now = self._here.clock()
        results: dict[str, Result[T]] = {}
        others = {}
        for key, raw in zip(keys, raws, strict=True):
            entry = policy.codec.read(raw, now, self._here.draw)
            if entry.state is State.FRESH and not entry.refresh_due:
                results[key] = Result(entry.value, Served.HIT)
            else:
                others[key] = entry
        if others:
            results |= yield from Miss(self._here, policy, others).run()
        return results

    def _miss(self, key: str, entry: Entry[T], policy: Policy[T]) -> Steps[Result[T]]:
        miss = Miss(self._here, policy, {key: entry})
        while True:
            flight, leads = self._here.flights.enter(key)
            if leads:
                miss.flight = flight
                return (yield from self._lead(key, miss))
            joined = flight.turn
            yield Join(flight.done, miss.deadline - self._here.monotonic())
            if flight.good_for(joined):
                return Result(flight.value, Served.HIT)
            if flight.error is not None:
                return miss.stand_in(flight.error)[key]
            if not flight.done.is_set() or not (yield from miss.look_again()):
                break
            if miss.results:
                return miss.results[key]
        return (yield from miss.load_past())[key]

    def _lead(self, key: str, miss: "Miss[T]") -> Steps[Result[T]]:
        try:
            return (yield from miss.run())[key]
        finally:
            if miss.flight is not None:
                self._here.flights.finish(miss.flight)

    def _refresh(self, key: str, entry: Entry[T], policy: Policy[T], *, behind: bool) -> Steps[Result[T]]:
        """XFetch drew this reader: in its own request, or behind its back where that is allowed."""
        miss = Miss(self._here, policy, {key: entry})
        if not behind:
            return (yield from miss.run())[key]
        miss.flight, leads = self._here.flights.enter(key)
        if leads:
            yield Background(self._lead(key, miss), 0)
        return Result(entry.value, Served.HIT)


class Miss(Generic[T]):
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
            if all(entry.state is State.REFUSED for entry in self._waiting.values()):
                break
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
        bidding = [mine.command for mine in bids.values()]
        replies = yield from self._trip(bidding, [undo(self._policy, key, mine, now) for key, mine in bids.items()])
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
            elif isinstance(reply, Exception):
                self._waiting[key] = msgspec.structs.replace(mine.entry, state=State.REFUSED)
            if mine.entry.state is State.UNREADABLE:
                self._note(Event.UNREADABLE)
        return held

    def _load_and_fill(self, held: Mapping[str, Bid[T]]) -> Steps[None]:
        started = self._here.monotonic()
        try:
            values = yield from self._load(tuple(held))
            seconds = self._here.monotonic() - started
            fills = [self._fill(key, mine, values.get(key), seconds) for key, mine in held.items()]
        except GeneratorExit:
            raise  # nobody drives these steps any more, so nothing can be sent
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
        replies = yield from self._trip(fills, [release(key, mine.token) for key, mine in held.items()])
        for key, accepted in zip(held, replies or [0] * len(fills), strict=True):
            if accepted != 1:
                self._note(Event.FILL_REFUSED)
            elif self.flight is not None:
                self.flight.vouch(values.get(key))
            self._settle(key, values.get(key), Served.MISS)

    def _fill(self, key: str, mine: Bid[T], value: T | None, load_seconds: float) -> Command:
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

    def _trip(self, commands: Sequence[Command], undo: Sequence[Command] = ()) -> Steps[list[Any] | None]:
        """The replies; None when the cache does not answer."""
        self._next_turn()
        try:
            replies: list[Any] = yield RoundTrip(commands, self._policy.fail_closed, undo=undo)
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
