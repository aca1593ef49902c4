"""Leases under the keys: bid for one, fill it, give it back. Each command touches only the exact bytes it expects.

A reader holds a lease only if the server said so before the load begins. A command whose reply did not come may have
been executed, or may still be: whoever sent it never fills.
"""

from typing import Generic, TypeVar

import msgspec

from cache_aside.envelope import Entry, State, new_lease
from cache_aside.policy import Policy
from cache_aside.steps import Command

T = TypeVar("T")

# KEYS[1] holds exactly ARGV[1]? Then it becomes ARGV[2] for ARGV[3] ms, or nothing when ARGV[2] is empty.
COMPARE_AND_SET = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1"""


def get(key: str) -> Command:
    """Read a key."""
    return ("GET", key)


def take_lease(key: str, lease: bytes, lease_ms: int) -> Command:
    """Set the lease if the key is absent; the reply is what the key held. NX with GET needs Redis 7.0 or any Valkey."""
    return ("SET", key, lease, "NX", "GET", "PX", lease_ms)


def exchange(key: str, old: bytes, new: bytes, ttl_ms: int) -> Command:
    """Replace exactly these bytes; the reply is 1, or 0 when the key holds anything else."""
    return ("EVAL", COMPARE_AND_SET, 1, key, old, new, ttl_ms)


def release(key: str, old: bytes) -> Command:
    """Delete exactly these bytes; the reply is 1, or 0 when the key holds anything else."""
    return exchange(key, old, b"", 0)


class Bid(msgspec.Struct, Generic[T], frozen=True):
    """The bytes that make a reader the one that loads, what they replace, and the command that puts them there."""

    token: bytes
    entry: Entry[T]
    command: Command

    def won(self, reply: object) -> bool:
        """Whether the command took effect."""
        return reply is None if self.entry.state is State.ABSENT else reply == 1


def bid(policy: Policy[T], key: str, entry: Entry[T], now: float) -> Bid[T] | None:
    """How to become the one that loads this key; None while somebody else is."""
    if entry.state is State.ABSENT:
        token = new_lease()
        return Bid(token, entry, take_lease(key, token, policy.lease_ms))
    if entry.raw is None or entry.state in (State.LEASED, State.REFUSED) or entry.claimed:
        return None
    if entry.state is State.UNREADABLE:
        token = new_lease()
        return Bid(token, entry, exchange(key, entry.raw, token, policy.lease_ms))
    token = policy.codec.claim(entry.raw, until=now + policy.load_timeout_seconds)
    return Bid(token, entry, exchange(key, entry.raw, token, policy.lease_ms + max(0, _rest_ms(policy, entry, now))))


def fill(key: str, mine: Bid[T], envelope: bytes | None, kept_seconds: float) -> Command:
    """Put the envelope in the bid's place, for so long; None takes the bid away. The reply tells if it was there."""
    if envelope is None:
        return release(key, mine.token)
    return exchange(key, mine.token, envelope, max(1, round(kept_seconds * 1000)))


def undo(policy: Policy[T], key: str, mine: Bid[T], now: float) -> Command:
    """After a load that failed: put back the value that was to be refreshed, or nothing."""
    rest_ms = _rest_ms(policy, mine.entry, now)
    if mine.entry.state in (State.FRESH, State.EXPIRED) and mine.entry.raw is not None and rest_ms > 0:
        return exchange(key, mine.token, mine.entry.raw, rest_ms)
    return release(key, mine.token)


def _rest_ms(policy: Policy[T], entry: Entry[T], now: float) -> int:
    """How long a value may stay in the cache, its time as a stand-in included."""
    return round(entry.expires_ms + (policy.stale_seconds(entry.value) - now) * 1000)
