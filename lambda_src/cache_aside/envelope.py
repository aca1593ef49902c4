"""The bytes under a key: a lease (somebody is loading), a value, or a value that somebody is refreshing.

    lease  "L" nonce
    value  "V" schema nonce expires_ms claimed_until_ms load_ms JSON      ("N" and no JSON: the source has none)

The nonce makes every lease and every fill unique, so that a compare-and-set can tell that a key held the same bytes all
along: v1, v2, v1 does not fool it. `claimed_until_ms` marks a refresh in progress without hiding the value.
"""

import hashlib
import math
import os
import struct
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

import msgspec

from cache_aside.errors import PolicyError

T = TypeVar("T")
_HEADER = struct.Struct(">9s12sQQI")
_CLAIM = struct.Struct(">9s12sQQ")
_LEASE_SIZE = 1 + 12
_MAX_LOAD_MS = 2**32 - 1


class State(Enum):
    """What a reader finds under a key."""

    ABSENT = "absent"
    LEASED = "leased"
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    FRESH = "fresh"
    EXPIRED = "expired"


class Entry(msgspec.Struct, Generic[T], frozen=True):
    """What a reader found, with the exact bytes that a compare-and-set starts from."""

    state: State
    raw: bytes | None = None
    value: T | None = None
    expires_ms: int = 0
    claimed: bool = False
    """Somebody is refreshing the value."""
    refresh_due: bool = False
    """This reader was drawn to refresh the value before it expires."""
    stale_ok: bool = False
    """Expired, yet recent enough to stand in for a load that fails."""


def new_lease() -> bytes:
    """A lease that no other process, thread or attempt ever writes."""
    return b"L" + os.urandom(12)


def schema_id(value_type: object, version: int) -> bytes:
    """Eight bytes that change with the type's shape or with the policy's version.

    Raises:
        PolicyError: msgspec cannot describe the type.
    """
    try:
        shape = msgspec.json.encode(msgspec.json.schema(value_type), order="sorted")
    except TypeError as error:
        raise PolicyError(f"msgspec cannot serialize {value_type!r}: {error}") from error
    return hashlib.blake2b(shape + b"\0%d" % version, digest_size=8).digest()


class Codec(Generic[T]):
    """Encodes and decodes the envelopes of one policy."""

    def __init__(self, value_type: type[T], schema: bytes, *, early_refresh_beta: float, stale_seconds: float) -> None:
        self._value, self._negative = b"V" + schema, b"N" + schema
        self._beta = early_refresh_beta
        self._stale_ms = stale_seconds * 1000
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(value_type).decode

    def encode(self, value: T | None, *, expires: float, load_seconds: float) -> bytes:
        """A fill: `expires` in seconds since the epoch, `load_seconds` what the load cost (for XFetch)."""
        kind, body = (self._negative, b"") if value is None else (self._value, self._encode(value))
        load_ms = min(_MAX_LOAD_MS, max(1, round(load_seconds * 1000)))
        return _HEADER.pack(kind, os.urandom(12), max(0, int(expires * 1000)), 0, load_ms) + body

    def claim(self, raw: bytes, until: float) -> bytes:
        """The same value under a new nonce, marked as being refreshed until then (seconds since the epoch)."""
        kind, _, expires_ms, _ = _CLAIM.unpack_from(raw)
        return _CLAIM.pack(kind, os.urandom(12), expires_ms, int(until * 1000)) + raw[_CLAIM.size :]

    def read(self, raw: bytes | Exception | None, now: float, draw: Callable[[], float]) -> Entry[T]:
        """Classify what a key holds at `now` (seconds since the epoch); `draw` returns a uniform number in [0, 1).

        An exception is what the server answers for this key alone, such as one of another type.
        """
        if raw is None:
            return Entry(State.ABSENT)
        if isinstance(raw, Exception):
            return Entry(State.REFUSED)
        kind = raw[:9]
        if kind == self._value or kind == self._negative:
            try:
                _, _, expires_ms, claimed_ms, load_ms = _HEADER.unpack_from(raw)
                value = self._decode(raw[_HEADER.size :]) if kind == self._value else None
            except (struct.error, msgspec.DecodeError, UnicodeDecodeError):
                return Entry(State.UNREADABLE, raw)
            now_ms = now * 1000
            claimed = now_ms < claimed_ms
            if now_ms >= expires_ms:
                stale_ok = kind == self._value and now_ms < expires_ms + self._stale_ms
                return Entry(State.EXPIRED, raw, value, expires_ms, claimed, stale_ok=stale_ok)
            due = not claimed and now_ms - load_ms * self._beta * math.log(1 - draw()) >= expires_ms
            return Entry(State.FRESH, raw, value, expires_ms, claimed, due)
        if raw[:1] == b"L" and len(raw) == _LEASE_SIZE:
            return Entry(State.LEASED, raw)
        return Entry(State.UNREADABLE, raw)
