"""How one kind of data is cached."""

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import msgspec

V = TypeVar("V")
_encoder = msgspec.json.Encoder(decimal_format="number")


class _Envelope(msgspec.Struct, Generic[V], array_like=True):
    schema_version: int
    value: V | None


@dataclass(frozen=True, kw_only=True)
class Policy(Generic[V]):
    """What a kind of data is and how long the cache may keep it.

    `value_type` is any type that msgspec can encode. `schema_version` changes with its shape, so that a release never
    reads the shape of another: what it cannot read is a miss. That nothing exists is cached too, for
    `negative_ttl_seconds`. `jitter` spreads expiry by up to that fraction of the time to live in either direction, so
    that entries stored together do not expire together.
    """

    value_type: type[V]
    schema_version: int
    ttl_seconds: float
    negative_ttl_seconds: float
    jitter: float = 0.1

    @cached_property
    def _decoder(self) -> "msgspec.json.Decoder[_Envelope[V]]":
        return msgspec.json.Decoder(_Envelope[self.value_type])  # type: ignore[name-defined]

    def encode(self, value: V | None) -> bytes:
        """The stored form: `[schema_version, value]` in JSON."""
        return _encoder.encode(_Envelope(self.schema_version, value))

    def decode(self, stored: bytes) -> tuple[V | None] | None:
        """The value in a tuple of one, or None when `stored` is not of this policy's schema version, or damaged."""
        try:
            envelope = self._decoder.decode(stored)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return (envelope.value,) if envelope.schema_version == self.schema_version else None

    def ttl_milliseconds(self, value: V | None) -> int:
        """How long to keep this value, jitter included; at least 1."""
        seconds = self.negative_ttl_seconds if value is None else self.ttl_seconds
        return max(1, round(seconds * 1000 * random.uniform(1 - self.jitter, 1 + self.jitter)))  # noqa: S311
