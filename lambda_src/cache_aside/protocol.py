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

from collections.abc import Sequence
from typing import TypeVar

from cache_aside.commands import Background, Join, RoundTrip, Steps, get
from cache_aside.envelope import Entry, State
from cache_aside.errors import CacheUnavailableError
from cache_aside.filling import Fill
from cache_aside.policy import Policy
from cache_aside.results import Result, Served
from cache_aside.surroundings import Surroundings

T = TypeVar("T")


class ReadThrough:
    """Reads of one process: 1 round trip for a hit, at most 3 for a miss that nobody else loads."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._here = surroundings

    def get(self, key: str, policy: Policy[T]) -> Steps[Result[T]]:
        """One key."""
        try:
            (raw,) = yield RoundTrip((get(key),), policy.fail_closed)
        except CacheUnavailableError:
            return (yield from Fill(self._here, policy, {key: Entry(State.ABSENT)}).load_past())[key]
        entry = policy.codec.read(raw, self._here.clock(), self._here.draw)
        if entry.state is State.FRESH:
            if entry.refresh_due:
                return (yield from self._refresh(key, entry, policy))
            return Result(entry.value, Served.HIT)
        soft = policy.soft_timeout_seconds
        if self._here.background and soft is not None and entry.stale_ok:
            result = yield Background(self._miss(key, entry, policy), soft)
            return result if result is not None else Result(entry.value, Served.STALE)
        return (yield from self._miss(key, entry, policy))

    def get_many(self, keys: Sequence[str], policy: Policy[T]) -> Steps[dict[str, Result[T]]]:
        """Many keys, one load: a round trip to read them all, one to take the leases, one to fill."""
        keys = tuple(dict.fromkeys(keys))
        if not keys:
            return {}
        try:
            (raws,) = yield RoundTrip((("MGET", *keys),), policy.fail_closed)
        except CacheUnavailableError:
            return (yield from Fill(self._here, policy, {key: Entry(State.ABSENT) for key in keys}).load_past())
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
            results |= yield from Fill(self._here, policy, others).run()
        return results

    def _miss(self, key: str, entry: Entry[T], policy: Policy[T]) -> Steps[Result[T]]:
        fill = Fill(self._here, policy, {key: entry})
        while True:
            flight, leads = self._here.flights.enter(key)
            if leads:
                fill.flight = flight
                return (yield from self._lead(key, fill))
            joined = flight.turn
            yield Join(flight.done, fill.deadline - self._here.monotonic())
            if flight.good_for(joined):
                return Result(flight.value, Served.HIT)
            if flight.error is not None:
                return fill.stand_in(flight.error)[key]
            if not flight.done.is_set() or not (yield from fill.look_again()):
                break
            if fill.results:
                return fill.results[key]
        return (yield from fill.load_past())[key]

    def _lead(self, key: str, fill: Fill[T]) -> Steps[Result[T]]:
        try:
            return (yield from fill.run())[key]
        finally:
            if fill.flight is not None:
                self._here.flights.finish(fill.flight)

    def _refresh(self, key: str, entry: Entry[T], policy: Policy[T]) -> Steps[Result[T]]:
        """XFetch drew this reader: in its own request, or behind its back where that is allowed."""
        fill = Fill(self._here, policy, {key: entry})
        if not self._here.background:
            return (yield from fill.run())[key]
        fill.flight, leads = self._here.flights.enter(key)
        if leads:
            yield Background(self._lead(key, fill), 0)
        return Result(entry.value, Served.HIT)
