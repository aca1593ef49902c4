"""The commands that change a key: bid for it, fill it, undo the bid. Each touches only the exact bytes it expects."""

from typing import Generic, TypeVar

import msgspec

from cache_aside.commands import Op, exchange, release, take_lease
from cache_aside.envelope import Entry, State, new_lease
from cache_aside.policy import Policy

T = TypeVar("T")


class Bid(msgspec.Struct, Generic[T], frozen=True):
    """The bytes that make a reader the one that loads, what they replace, and the command that puts them there."""

    token: bytes
    entry: Entry[T]
    op: Op

    def won(self, reply: object) -> bool:
        """Whether the command took effect."""
        return reply is None if self.entry.state is State.ABSENT else reply == 1


def bid(policy: Policy[T], key: str, entry: Entry[T], now: float) -> Bid[T] | None:
    """How to become the one that loads this key; None while somebody else is."""
    if entry.state is State.ABSENT:
        token = new_lease()
        return Bid(token, entry, take_lease(key, token, policy.lease_ms))
    if entry.raw is None or entry.state is State.LEASED or entry.claimed:
        return None
    if entry.state is State.UNREADABLE:
        token = new_lease()
        return Bid(token, entry, exchange(key, entry.raw, token, policy.lease_ms))
    token = policy.codec.claim(entry.raw, until=now + policy.load_timeout_seconds)
    return Bid(token, entry, exchange(key, entry.raw, token, policy.lease_ms + max(0, _rest_ms(policy, entry, now))))


def fill(key: str, mine: Bid[T], envelope: bytes | None, kept_seconds: float) -> Op:
    """Put the envelope in the bid's place, for so long; None takes the bid away. The reply tells if it was there."""
    if envelope is None:
        return release(key, mine.token)
    return exchange(key, mine.token, envelope, max(1, round(kept_seconds * 1000)))


def undo(policy: Policy[T], key: str, mine: Bid[T], now: float) -> Op:
    """After a load that failed: put back the value that was to be refreshed, or nothing."""
    rest_ms = _rest_ms(policy, mine.entry, now)
    if mine.entry.state in (State.FRESH, State.EXPIRED) and mine.entry.raw is not None and rest_ms > 0:
        return exchange(key, mine.token, mine.entry.raw, rest_ms)
    return release(key, mine.token)


def _rest_ms(policy: Policy[T], entry: Entry[T], now: float) -> int:
    """How long a value may stay in the cache, its time as a stand-in included."""
    return round(entry.expires_ms + (policy.stale_seconds(entry.value) - now) * 1000)
