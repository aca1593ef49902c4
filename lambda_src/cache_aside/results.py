"""How a read was served and what became of an invalidation."""

from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Served(StrEnum):
    """How a read was answered; the value of an `X-Cache` header."""

    HIT = "HIT"
    """From the cache."""
    JOINED = "JOINED"
    """From the load of another reader, here or in another process, that this one waited for."""
    MISS = "MISS"
    """This call loaded the value."""
    STALE = "STALE"
    """Past its TTL, never past an invalidation: the load failed or outlasted the soft timeout."""
    BYPASS = "BYPASS"
    """Loaded past the cache: it is unavailable or untrusted, or another reader's load outlasted the wait timeout."""


class Result(msgspec.Struct, Generic[T], frozen=True):
    """A value, or None where the source has none, and how it was served."""

    value: T | None
    served: Served


class Replicas(StrEnum):
    """Who must have deleted a key before its invalidation is confirmed."""

    PRIMARY = "primary"
    """The primary alone: a failover may lose the deletion until the relay repeats it."""
    ALL = "all"
    """Every replica attached to the primary at that moment (WAIT)."""


class Invalidation(msgspec.Struct, frozen=True):
    """The outcome of `invalidate`. Not confirmed means pending: the keys must be deleted again, as a `Relay` does.

    Refused means pending as well: the server answered, and will not delete these keys together (no permission, keys of
    several slots), so that there was no use in trying longer.
    """

    keys: tuple[str, ...]
    confirmed: bool
    reason: str = ""
    refused: bool = False

    @property
    def pending(self) -> bool:
        """Whether the keys may still hold the old value."""
        return not self.confirmed
