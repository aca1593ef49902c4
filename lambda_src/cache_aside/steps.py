"""What the protocol asks its driver to do: no I/O here.

A protocol generator yields these; the driver sends back the reply, or throws what went wrong.
"""

from collections.abc import Generator, Sequence
from math import inf
from typing import Any, TypeVar

import msgspec

R = TypeVar("R")
Command = tuple[str | bytes | int, ...]
"""One Redis command with its arguments."""


class RoundTrip(msgspec.Struct):
    """Send these together and reply with their replies.

    A command that the server refuses by itself (another type, no permission) has its exception among the replies. When
    the round trip as a whole fails: CacheUnavailableError.
    """

    commands: Sequence[Command]
    fail_closed: bool = False
    timeout_seconds: float = inf
    """Besides the client's own timeouts."""
    undo: Sequence[Command] = ()
    """Sent behind them on the same connection, waiting for nothing, when their replies do not come."""
    owed: bool = False
    """Sent even if whoever asked for it has left."""
    waited_seconds: float = 0.0
    """Set by the driver: how long it waited for a connection, which is not the cache's fault."""


class Load(msgspec.Struct, frozen=True):
    """Call the loader; reply with its values by key. Limited: under the limit for loads that go past the cache."""

    keys: tuple[str, ...]
    timeout_seconds: float
    limited: bool = False


class Pause(msgspec.Struct, frozen=True):
    """Sleep."""

    seconds: float


class Join(msgspec.Struct, frozen=True):
    """Wait for this latch, at most so long."""

    latch: Any
    timeout_seconds: float


class Background(msgspec.Struct, frozen=True):
    """Run these steps where no caller waits for them; reply with their result, or None if `wait_seconds` pass first."""

    steps: "Steps[Any]"
    wait_seconds: float


class Deliver(msgspec.Struct, frozen=True):
    """Send these to the primary, past the circuit breaker, and reply with their replies and the server's identity."""

    commands: Sequence[Command]
    timeout_seconds: float
    """For all of it, connecting included."""
    fresh: bool = False
    """On a new connection."""


Step = RoundTrip | Load | Pause | Join | Background | Deliver
Steps = Generator[Step, Any, R]
