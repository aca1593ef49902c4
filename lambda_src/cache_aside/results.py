"""What callers learn beside the value."""

from enum import Enum
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")


class Served(Enum):
    """How a value was come by."""

    HIT = "HIT"
    """From the cache."""
    MISS = "MISS"
    """The cache did not have it: loaded, and stored."""
    BYPASS = "BYPASS"
    """The cache could not be asked: loaded."""


class Result(NamedTuple, Generic[V]):
    """A value, None when there is none, and how it was served."""

    value: V | None
    served: Served


class Invalidation(Enum):
    """Whether a deletion reached the cache."""

    CONFIRMED = "confirmed"
    PENDING = "pending"
    """It did not, so the cache may serve the old value until that expires."""
