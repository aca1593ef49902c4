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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from cache_aside.breaker import Breaker
from cache_aside.envelope import Entry, State
from cache_aside.errors import CacheUnavailableError, LoadTimeoutError
from cache_aside.flights import Flight, Flights, Queue
from cache_aside.keys import check, checked
from cache_aside.leases import Bid, bid, fill, get, release, undo
from cache_aside.observe import SILENT, Event, Observer, log_once
from cache_aside.policy import Policy
from cache_aside.results import Result, Served
from cache_aside.steps import Background, Command, Join, Load, Pause, RoundTrip, Steps

T = TypeVar("T")
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.002, 0.05
_PAUSE_SHARE = 0.1  # of the time waited so far: nobody waits a tenth longer than the load takes
_LEAST_SECONDS = 0.02
_SPARE_SECONDS = 1.0  # for so long after a failed load nobody else tries who has a stale value at hand


class Surroundings(msgspec.Struct):
    """What the protocol knows about its process; tests put their own clocks and dice here."""

    flights: Flights
    past: Queue
    observer: Observer = SILENT
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random
    cache_seconds: float = 0.25
    """The most of a read that is the cache's: what is slower than that is done without."""
    sources: dict[str, Breaker] = {}
    """By policy: whether its source has just failed."""

    def source(self, policy: Policy[Any]) -> Breaker:
        """The circuit to what this policy's loads read."""
        if policy.name not in self.sources:
            self.sources[policy.name] = Breaker(_SPARE_SECONDS, clock=self.monotonic)
        return self.sources[policy.name]

    def spares(self, policy: Policy[Any], entry: Entry[Any]) -> bool:
        """Whether to serve a stale value at once: the source has just failed, and somebody else tries it again."""
        if not entry.stale_ok:
            return False
        source = self.source(policy)
        return source.is_open and not source.take_probe()


class ReadThrough:
    """Reads of one process: 1 round trip for a hit, at most 3 for a miss that nobody else loads."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._here = surroundings

    def get(self, key: str, policy: Policy[T], *, behind: bool = False) -> Steps[Result[T]]:
        """One key. Behind: the load may go on when its caller has left, as it brings its own arguments."""
        check(key)
        began, trip = self._here.monotonic(), RoundTrip((get(key),), policy.fail_closed)
        try:
            (raw,) = yield trip
        except CacheUnavailableError:
            return (yield from Miss(self._here, policy, {key: Entry(State.ABSENT)}).load_past())[key]
        entry = policy.codec.read(key, raw, self._here.clock(), self._here.draw)
        if entry.state is State.FRESH:
            if entry.refresh_due:
                return (yield from self._refresh(key, entry, policy, behind=behind))
            return Result(entry.value, Served.HIT)
        if self._here.spares(policy, entry):
            return Result(entry.value, Served.STALE)
        soft = policy.soft_timeout_seconds
        if behind and soft is not None and entry.stale_ok:
            result = yield Background(self._miss(key, entry, policy, 0.0), soft)
            return result if result is not None else Result(entry.value, Served.STALE)
        return (yield from self._miss(key, entry, policy, self._here.monotonic() - began - trip.waited_seconds))

    def get_many(self, keys: Iterable[str], policy: Policy[T], *, behind: bool = False) -> Steps[dict[str, Result[T]]]:
        """Many keys, one load: a round trip to read them all, one to take the leases, one to fill.

        Values that are due for a refresh are loaded with those that are missing, or behind: nobody waits for them.
        """
        keys = tuple(dict.fromkeys(checked(keys)))
        if not keys:
            return {}
        try:
            (raws,) = yield RoundTrip((("MGET", *keys),), policy.fail_closed)
        except CacheUnavailableError:
            return (yield from Miss(self._here, policy, {key: Entry(State.ABSENT) for key in keys}).load_past())
        if isinstance(raws, Exception):
            raws = [raws] * len(keys)
        now = self._here.clock()
        results: dict[str, Result[T]] = {}
        due, others = {}, {}
        for key, raw in zip(keys, raws, strict=True):
            entry = policy.codec.read(key, raw, now, self._here.draw)
            if entry.state is State.FRESH:
                results[key] = Result(entry.value, Served.HIT)
                if entry.refresh_due:
                    due[key] = entry
            elif self._here.spares(policy, entry):
                results[key] = Result(entry.value, Served.STALE)
            else:
                others[key] = entry
        if others:
            results |= yield from Miss(self._here, policy, others | due).run()
        elif due and behind:
            yield Background(Miss(self._here, policy, due).run(), 0)
        return results

    def _miss(self, key: str, entry: Entry[T], policy: Policy[T], spent_seconds: float) -> Steps[Result[T]]:
        miss = Miss(self._here, policy, {key: entry}, spent_seconds)
        flights = self._here.flights
        while not miss.for_itself:
            mine = flights.new((key, policy.codec.schema))
            try:
                flight = flights.enter(mine)
                if flight is mine:
                    miss.flight = mine
                    return (yield from miss.run())[key]
            finally:
                try:
                    flights.finish(mine)
                except BaseException:
                    flights.finish(mine)  # who joined would wait for as long as a lease lasts
                    raise
            joined = flight.turn
            yield from self._await(flight, miss)
            if flight.good_for(joined):
                return Result(flight.value, Served.JOINED)
            if flight.error is not None:
                return miss.stand_in(flight.error)[key]
            if not flight.done.is_set():
                if not miss.hurried:
                    flights.close(flight)  # whose leader is hanging, or has left without a word
                break
            if not (yield from miss.look_again()):
                break
            if miss.results:
                return miss.results[key]
        return (yield from miss.load_past())[key]

    def _await(self, flight: Flight, miss: "Miss[T]") -> Steps[None]:
        """Wait for another reader of this process: as long as a lease lasts, if what it does is load."""
        yield Join(flight.done, miss.deadline - self._here.monotonic())
        began = flight.load_began
        if not flight.done.is_set() and began is not None and not miss.hurried:
            yield Join(flight.done, began + miss.policy.lease_ms / 1000 - self._here.monotonic())

    def _refresh(self, key: str, entry: Entry[T], policy: Policy[T], *, behind: bool) -> Steps[Result[T]]:
        """XFetch drew this reader: in its own request, or behind its back where that is allowed."""
        if not behind:
            return (yield from Miss(self._here, policy, {key: entry}).run())[key]
        yield Background(self._refresh_alone(key, entry, policy), 0)
        return Result(entry.value, Served.HIT)

    def _refresh_alone(self, key: str, entry: Entry[T], policy: Policy[T]) -> Steps[None]:
        miss, mine = Miss(self._here, policy, {key: entry}), self._here.flights.new((key, policy.codec.schema))
        try:
            if self._here.flights.enter(mine) is mine:
                miss.flight = mine
                yield from miss.run()
        finally:
            try:
                self._here.flights.finish(mine)
            except BaseException:
                self._here.flights.finish(mine)
                raise


class Miss(Generic[T]):
    """One reader's way to a result for each of its keys that are not fresh in the cache.

    Take the leases, load, fill; wait for what others load; go past the cache when it fails.
    """

    def __init__(
        self, here: Surroundings, policy: Policy[T], entries: dict[str, Entry[T]], spent_seconds: float = 0.0
    ) -> None:
        self._here, self.policy = here, policy
        self._waiting = entries
        self.results: dict[str, Result[T]] = {}
        patience, soft = policy.patience_seconds, policy.soft_timeout_seconds
        self.hurried = soft is not None and all(entry.stale_ok for entry in entries.values())
        """A stale value is at hand, and soon preferred to waiting."""
        if soft is not None and self.hurried:
            patience = min(patience, soft)
        self.deadline = here.monotonic() + patience
        self.flight: Flight | None = None
        self._bodies: dict[str, bytes] = {}
        self._failure: Exception | None = None
        """What the load raised."""
        self._cache_seconds = here.cache_seconds - spent_seconds

    @property
    def for_itself(self) -> bool:
        """Whether no key that is left is worth a lease: the server refuses it, or its value is not cached."""
        return all(entry.state in (State.REFUSED, State.MARKED) for entry in self._waiting.values())

    def run(self) -> Steps[dict[str, Result[T]]]:
        """Load what nobody loads, wait for the rest."""
        started = self._here.monotonic()
        while (yield from self._lead()):
            if not self._waiting:
                return self.results
            if self.for_itself:
                break
            now = self._here.monotonic()
            if now >= self.deadline:
                break
            yield Pause(min(max((now - started) * _PAUSE_SHARE, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS))
            if not (yield from self.look_again()):
                break
        return (yield from self.load_past())

    def look_again(self) -> Steps[bool]:
        """Read the keys anew; those that are fresh now have been waited for. False when the cache does not answer.

        Of many keys one is asked for, until it is no longer leased, and then the others.
        """
        keys = tuple(self._waiting)
        replies = yield from self._trip([get(keys[0])])
        if replies is None:
            return False
        first = self._read(keys[0], replies[0])
        if len(keys) > 1 and first.state is not State.LEASED and not first.claimed:
            replies = yield from self._trip([("MGET", *keys)])
            if replies is None or isinstance(replies[0], Exception):
                return False
            (replies,) = replies
        for key, raw in zip(keys, replies, strict=False):
            self._found(key, raw, Served.JOINED)
        return True

    def load_past(self) -> Steps[dict[str, Result[T]]]:
        """Answer the rest without the cache, and without filling it: one load at a time for the same keys."""
        soft = self.policy.soft_timeout_seconds is not None
        for key, entry in tuple(self._waiting.items()):
            if entry.state is State.FRESH:
                self._settle(key, entry.value, Served.HIT)
            elif entry.stale_ok and (soft or self._here.spares(self.policy, entry)):
                self._settle(key, entry.value, Served.STALE)
        if not self._waiting:
            return self.results
        keys, past = tuple(self._waiting), self._here.past
        most = 2 * self.policy.lease_ms / 1000
        ends = self._here.monotonic() + most
        while (rest := ends - self._here.monotonic()) > 0:
            self._next_turn()
            mine = past.new((keys, self.policy.codec.schema))
            try:
                shared = past.gather(mine)
                if shared is mine:
                    return (yield from self._load_in_turn(mine))
            finally:
                try:
                    past.finish(mine)
                except BaseException:
                    past.finish(mine)
                    raise
            yield Join(shared.done, rest)
            if shared.error is not None:
                return self.stand_in(shared.error)
            if shared.vouched_before:
                return self._share(keys, shared.value, Served.JOINED)
            past.finish(shared)  # its leader has left without a word, or is hanging
        return self.stand_in(LoadTimeoutError(f"nobody has loaded {keys[0]!r} in {most:g} s"))

    def stand_in(self, error: Exception) -> dict[str, Result[T]]:
        """Serve what this reader found instead of a load that failed; raise the error where that is nothing."""
        excused = isinstance(error, self.policy.stale_errors)
        for key, entry in tuple(self._waiting.items()):
            if entry.state is State.FRESH:
                self._settle(key, entry.value, Served.HIT)
                name = self.policy.name
                log_once(f"refresh {name} {type(error)}", f"an early refresh of policy {name!r} failed", error)
            elif excused and entry.stale_ok:
                self._settle(key, entry.value, Served.STALE)
        if self._waiting:
            raise error
        return self.results

    def _load_in_turn(self, mine: Flight) -> Steps[dict[str, Result[T]]]:
        """Lead the next load past the cache, when the one that runs has ended, or has had its time."""
        keys, past = tuple(self._waiting), self._here.past
        if (before := past.running((keys, self.policy.codec.schema))) is not None and before.load_began is not None:
            yield Join(before.done, before.load_began + self.policy.lease_ms / 1000 - self._here.monotonic())
        uncached = all(entry.state is State.MARKED for entry in self._waiting.values())
        mine.load_began = self._here.monotonic()
        past.begin(mine)
        try:
            values = yield from self._load(keys, limited=not uncached)
        except Exception as error:  # noqa: BLE001 - raised again unless every key has a value to stand in
            mine.error = error
            if self.flight is not None:
                self.flight.error = error
            return self.stand_in(error)
        mine.turn = 1
        mine.vouch(values)
        return self._share(keys, values, Served.MISS if uncached else Served.BYPASS)

    def _share(self, keys: Sequence[str], values: Mapping[str, T | None], served: Served) -> dict[str, Result[T]]:
        """Take these values of a load that began after this reader."""
        if self.flight is not None:
            self.flight.vouch(values.get(keys[0]))
        for key in keys:
            self._settle(key, values.get(key), served)
        return self.results

    def _lead(self) -> Steps[bool]:
        """Bid for every key that nobody loads; load and fill what was won. False when the cache does not answer.

        Whatever is raised meanwhile, every bid is taken back: it may have been sent, and won, before the reply was
        heard of. That goes over a connection of its own, as the one that was interrupted is closed.
        """
        now = self._here.clock()
        bids = {key: mine for key, entry in self._waiting.items() if (mine := bid(self.policy, key, entry, now))}
        if not bids:
            return True
        owing = True
        try:
            try:
                held = yield from self._acquire(bids)
                if held:
                    yield from self._load_and_fill(held)
            except GeneratorExit:
                raise  # nobody drives these steps any more, so nothing can be sent
            except BaseException as error:
                yield from self._take_back(bids)
                owing = False
                if error is not self._failure:
                    raise
                if self.flight is not None:
                    self.flight.error = self._failure
                self.stand_in(self._failure)
                return True
        except GeneratorExit:
            raise
        except BaseException:
            if owing:  # what was raised as they were taken back may have come before anything was sent
                yield from self._take_back(bids)
            raise
        return held is not None

    def _acquire(self, bids: Mapping[str, Bid[T]]) -> Steps[dict[str, Bid[T]] | None]:
        """Send the bids: which of them won. None when the cache does not answer.

        What was sent then may take effect all the same, so its undoing is sent behind it, and nobody fills it.
        """
        replies = yield from self._trip([mine.command for mine in bids.values()], self._undoing(bids))
        if replies is None:
            return None
        held = {}
        for (key, mine), reply in zip(bids.items(), replies, strict=True):
            if mine.won(reply):
                held[key] = mine
            elif mine.entry.state is State.ABSENT:
                self._found(key, reply, Served.HIT)
            elif mine.entry.state is State.FRESH:
                self._settle(key, mine.entry.value, Served.HIT)
            elif isinstance(reply, Exception):
                self._waiting[key] = msgspec.structs.replace(mine.entry, state=State.REFUSED)
            if mine.entry.state in (State.UNREADABLE, State.OTHER_SHAPE):
                self._note(Event.UNREADABLE)
        return held

    def _load_and_fill(self, held: Mapping[str, Bid[T]]) -> Steps[None]:
        started = self._here.monotonic()
        values = yield from self._load(tuple(held))
        seconds = self._here.monotonic() - started
        fills = [self._fill(key, mine, values.get(key), seconds) for key, mine in held.items()]
        if self.flight is not None:
            self.flight.vouch(values.get(next(iter(held))))
        replies = yield from self._trip(fills, [release(key, mine.token) for key, mine in held.items()])
        for key, accepted in zip(held, replies or [0] * len(fills), strict=True):
            if accepted != 1:
                self._note(Event.FILL_REFUSED)
            elif self.flight is not None:
                self.flight.vouch(values.get(key))
            self._settle(key, values.get(key), Served.MISS)

    def _take_back(self, bids: Mapping[str, Bid[T]]) -> Steps[None]:
        """Undo the bids, whether or not the reader stays to hear of it; to repeat it is harmless."""
        undoing = self._undoing(bids)
        yield from self._trip(undoing, undoing, owed=True)

    def _undoing(self, bids: Mapping[str, Bid[T]]) -> list[Command]:
        now = self._here.clock()
        return [undo(self.policy, key, mine, now) for key, mine in bids.items()]

    def _fill(self, key: str, mine: Bid[T], value: T | None, load_seconds: float) -> Command:
        envelope, lifetime, beside = None, 0.0, mine.entry.beside
        try:
            lifetime = self.policy.lifetime_seconds(value)
        except Exception as error:  # noqa: BLE001 - as for a value that cannot be encoded
            self._uncacheable(key, error)
        if lifetime > 0 and key in self._bodies:
            expires = self._here.clock() + lifetime
            body = self._bodies[key]
            envelope = self.policy.codec.seal(key, body, expires=expires, load_seconds=load_seconds, beside=beside)
            if beside and len(envelope) > self.policy.max_bytes:
                envelope = envelope[: -len(beside)]
        if envelope is not None and len(envelope) > self.policy.max_bytes:
            self._note(Event.TOO_LARGE)
            envelope = None
        if envelope is None and beside:  # a mark would empty the other release's cache, again and again
            envelope = self.policy.codec.seal_beside(key, beside)
        kept = lifetime + self.policy.stale_seconds(value)
        if beside:
            beside_until = mine.entry.beside_expires_ms / 1000 + self.policy.stale_if_error_seconds
            kept = max(kept, beside_until - self._here.clock())
        return fill(key, mine, envelope, kept)

    def _load(self, keys: tuple[str, ...], *, limited: bool = False) -> Steps[Any]:
        """Values by key, of `value_type` throughout, as a hit has them."""
        self._next_turn()
        started = self._here.monotonic()
        event = Event.LOAD_ERROR
        if self.flight is not None:
            self.flight.load_began = started
        try:
            loaded = yield Load(keys, self.policy.load_timeout_seconds, limited)
            event = Event.LOAD
        except Exception as error:
            self._failure = error
            if self.policy.stale_if_error_seconds and isinstance(error, self.policy.stale_errors):
                self._here.source(self.policy).trip()
            raise
        else:
            self._here.source(self.policy).close()
            return {key: self._as_a_hit(key, loaded.get(key)) for key in keys}
        finally:
            if self.flight is not None:
                self.flight.load_began = None
            self._note(event, self._here.monotonic() - started)

    def _as_a_hit(self, key: str, value: T | None) -> T | None:
        """The value that a hit will have. One that cannot be cached is returned as it is, and said so once."""
        if value is None:
            self._bodies[key] = b""
            return None
        try:
            self._bodies[key], value = self.policy.codec.body(value)
        except Exception as error:  # noqa: BLE001 - the load succeeded, and its caller gets what it returned
            self._uncacheable(key, error)
        return value

    def _uncacheable(self, key: str, error: Exception) -> None:
        self._note(Event.UNCACHEABLE)
        log_once(f"uncacheable {self.policy.name}", f"policy {self.policy.name!r} cannot cache {key!r}", error)

    def _trip(
        self, commands: Sequence[Command], undo: Sequence[Command] = (), *, owed: bool = False
    ) -> Steps[list[Any] | None]:
        """The replies; None when the cache does not answer."""
        self._next_turn()
        began = self._here.monotonic()
        trip = RoundTrip(commands, self.policy.fail_closed, max(self._cache_seconds, _LEAST_SECONDS), undo, owed)
        try:
            replies: list[Any] = yield trip
        except CacheUnavailableError:
            return None
        seconds = self._here.monotonic() - began - trip.waited_seconds
        if seconds > _LEAST_SECONDS:  # a cache that answers well may be asked often
            self._cache_seconds -= seconds
        return replies

    def _next_turn(self) -> None:
        if self.flight is not None:
            self.flight.turn += 1

    def _read(self, key: str, raw: bytes | Exception | None) -> Entry[T]:
        return self.policy.codec.read(key, raw, self._here.clock(), self._here.draw)

    def _found(self, key: str, raw: bytes | Exception | None, served: Served) -> None:
        entry = self._read(key, raw)
        if entry.state is State.FRESH:
            if self.flight is not None:
                self.flight.vouch(entry.value)
            self._settle(key, entry.value, served)
        else:
            self._waiting[key] = entry

    def _settle(self, key: str, value: T | None, served: Served) -> None:
        self._waiting.pop(key, None)
        self.results[key] = Result(value, served)

    def _note(self, event: Event, seconds: float = 0.0) -> None:
        self._here.observer.on_event(self.policy.name, event, seconds)
