"""Leases under the keys: bid for one, fill it, give it back. Each command touches only the exact bytes it expects.

A reader holds a lease only if the server said so before the load begins. A command whose reply did not come may have
been executed, or may still be: whoever sent it never fills.
"""

from typing import Generic, TypeVar

import msgspec

from cache_aside.envelope import Entry, State, new_lease, new_mark, token
from cache_aside.policy import Policy
from cache_aside.steps import Command

T = TypeVar("T")
MARK_MS = 1000
"""How long readers load for themselves after a value that is not worth caching (Varnish's hit-for-miss)."""
MAX_TTL_MS = 10 * 365 * 24 * 3600 * 1000

# KEYS[1] begins with ARGV[1]? Then it becomes ARGV[2] for ARGV[3] ms, or nothing when ARGV[2] is empty. ARGV[4] says
# what of the old bytes stays: 'head' nothing, 'tail' what followed as many bytes; 'all': ARGV[1] must be all of them.
COMPARE_AND_SET = """\
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
if ARGV[4] == 'all' and held ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) return 1 end
local tail = ARGV[4] == 'tail' and string.sub(held, #ARGV[2] + 1) or ''
redis.call('SET', KEYS[1], ARGV[2] .. tail, 'PX', ARGV[3])
return 1"""


def get(key: str) -> Command:
    """Read a key."""
    return ("GET", key)


def take_lease(key: str, lease: bytes, lease_ms: int) -> Command:
    """Set the lease if the key is absent; the reply is what the key held. NX with GET needs Redis 7.0 or any Valkey."""
    return ("SET", key, lease, "NX", "GET", "PX", lease_ms)


def exchange(key: str, old: bytes, new: bytes, ttl_ms: int, *, scope: str = "head") -> Command:
    """Replace what begins with these bytes; the reply is 1, or 0 when the key holds anything else."""
    return ("EVAL", COMPARE_AND_SET, 1, key, old, new, ttl_ms, scope)


def release(key: str, mine: bytes) -> Command:
    """Delete what begins with these bytes; the reply is 1, or 0 when the key holds anything else."""
    return exchange(key, mine, b"", 0)


class Bid(msgspec.Struct, Generic[T], frozen=True):
    """The bytes that make a reader the one that loads, what they replace, and the command that puts them there."""

    token: bytes
    entry: Entry[T]
    command: Command

    def won(self, reply: object) -> bool:
        """Whether the command took effect."""
        return reply is None if self.entry.state is State.ABSENT else reply == 1


def bid(policy: Policy[T], key: str, entry: Entry[T], now: float) -> Bid[T] | None:
    """How to become the one that loads this key; None while somebody else is, or nobody should."""
    if entry.state is State.ABSENT:
        lease = new_lease()
        return Bid(lease, entry, take_lease(key, lease, policy.lease_ms))
    if entry.raw is None or entry.claimed or entry.state in (State.LEASED, State.MARKED):
        return None
    if entry.state is State.UNREADABLE:
        lease = new_lease()
        return Bid(lease, entry, exchange(key, entry.raw, lease, policy.lease_ms, scope="all"))
    claim = policy.codec.claim(entry.raw, until=now + policy.lease_ms / 1000)
    kept_ms = policy.lease_ms + max(0, _rest_ms(policy, entry, now))
    return Bid(token(claim), entry, exchange(key, token(entry.raw), claim, kept_ms, scope="tail"))


def fill(key: str, mine: Bid[T], envelope: bytes | None, kept_seconds: float) -> Command:
    """Put the envelope in the bid's place, for so long. None: a mark instead, as this is not worth caching.

    The reply tells if the bid was still there: a fill never replaces absence.
    """
    if envelope is None:
        return exchange(key, mine.token, new_mark(), MARK_MS)
    return exchange(key, mine.token, envelope, max(1, min(MAX_TTL_MS, round(kept_seconds * 1000))))


def undo(policy: Policy[T], key: str, mine: Bid[T], now: float) -> Command:
    """After a load that failed: put back the value that was to be refreshed, or nothing."""
    rest_ms = _rest_ms(policy, mine.entry, now)
    if (
        mine.entry.state in (State.FRESH, State.EXPIRED, State.OTHER_SHAPE)
        and mine.entry.raw is not None
        and rest_ms > 0
    ):
        return exchange(key, mine.token, policy.codec.head(mine.entry.raw), rest_ms, scope="tail")
    return release(key, mine.token)


def _rest_ms(policy: Policy[T], entry: Entry[T], now: float) -> int:
    """How long a value may stay in the cache, its time as a stand-in included, or another release's beside it.

    What the other release's policy says is not known here: its stand-in is kept for as long as one's own.
    """
    mine_ms = entry.expires_ms + policy.stale_seconds(entry.value) * 1000
    beside_ms = entry.beside_expires_ms + policy.stale_if_error_seconds * 1000
    return min(MAX_TTL_MS, round(max(mine_ms, beside_ms) - now * 1000))
