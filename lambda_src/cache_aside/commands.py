"""The vocabulary between the protocol, which decides, and a driver, which does: no I/O here.

A protocol generator yields these; the driver sends back the reply, or throws what went wrong.
"""

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import msgspec

R = TypeVar("R")
Op = tuple[str | bytes | int, ...]
"""One Redis command with its arguments."""

# KEYS[1] holds exactly ARGV[1]? Then it becomes ARGV[2] for ARGV[3] ms, or nothing when ARGV[2] is empty.
COMPARE_AND_SET = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1"""


def get(key: str) -> Op:
    """Read a key."""
    return ("GET", key)


def take_lease(key: str, lease: bytes, lease_ms: int) -> Op:
    """Set the lease if the key is absent; the reply is what the key held. NX with GET needs Redis 7.0 or any Valkey."""
    return ("SET", key, lease, "NX", "GET", "PX", lease_ms)


def exchange(key: str, old: bytes, new: bytes, ttl_ms: int) -> Op:
    """Replace exactly these bytes; the reply is 1, or 0 when the key holds anything else."""
    return ("EVAL", COMPARE_AND_SET, 1, key, old, new, ttl_ms)


def release(key: str, old: bytes) -> Op:
    """Delete exactly these bytes; the reply is 1, or 0 when the key holds anything else."""
    return exchange(key, old, b"", 0)


class RoundTrip(msgspec.Struct, frozen=True, gc=False):
    """Send these together and reply with their replies; CacheUnavailableError when that fails."""

    ops: Sequence[Op]
    fail_closed: bool = False


class Load(msgspec.Struct, frozen=True, gc=False):
    """Call the loader; reply with its values by key. Limited: under the limit for loads that go past the cache."""

    keys: tuple[str, ...]
    timeout_seconds: float
    limited: bool = False


class Pause(msgspec.Struct, frozen=True, gc=False):
    """Sleep."""

    seconds: float


class Join(msgspec.Struct, frozen=True, gc=False):
    """Wait for this threading.Event or asyncio.Event, at most so long."""

    latch: Any
    timeout_seconds: float


class Background(msgspec.Struct, frozen=True, gc=False):
    """Run these steps where no caller waits for them; reply with their result, or None if `wait_seconds` pass first."""

    steps: "Steps[Any]"
    wait_seconds: float


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Send these to the primary, past the circuit breaker, and reply with theirs and the server's identity."""

    ops: Sequence[Op]
    timeout_seconds: float
    fresh: bool


Command = RoundTrip | Load | Pause | Join | Background | Deliver
Steps = Generator[Command, Any, R]
