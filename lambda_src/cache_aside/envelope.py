"""The bytes under a key: a lease (somebody is loading), a mark (not worth caching just now), or a value.

    lease    "L" nonce
    mark     "M" nonce
    value    "V" nonce claimed_until_ms size key section [section]
    section  schema expires_ms load_ms size JSON   (no JSON: the source has none)

The nonce makes every lease and every fill unique, so that a compare-and-set can tell by the first 13 bytes that a key
held the same bytes all along: v1, v2, v1 does not fool it. `claimed_until_ms` marks a refresh in progress without
hiding the value. A value names its key (`size` bytes of it) and is read under no other: a guard against mix-ups, not
against attackers.

During a rolling deploy two releases may know two shapes of a value, which stand side by side as sections. Whoever fills
claims the whole envelope first, as a refresh does, and carries along the section that it does not know: exactly the
bytes that its claim replaced, and only until they expire. So a section was filled under a lease that no DEL has ended
since, whichever release's fill put it where it is, and one DEL removes both.
"""

import hashlib
import math
import os
import struct
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec

from cache_aside.errors import PolicyError

T = TypeVar("T")
_HEADER = struct.Struct(">c12sQH")  # then the key
_CLAIM = struct.Struct(">c12sQ")
_SECTION = struct.Struct(">8sQII")  # then the JSON
_TOKEN_BYTES = 1 + 12
_MAX_LOAD_MS = 2**32 - 1
_MAX_MS = 2**63
_UNDECODABLE = (struct.error, msgspec.MsgspecError, ValueError, RecursionError)


class State(Enum):
    """What a reader finds under a key."""

    ABSENT = "absent"
    LEASED = "leased"
    MARKED = "marked"
    OTHER_SHAPE = "other shape"
    """Another release's value, of another shape or version: its readers may hit it, or have it as a stand-in."""
    UNREADABLE = "unreadable"
    REFUSED = "refused"
    FRESH = "fresh"
    EXPIRED = "expired"


class Entry(msgspec.Struct, Generic[T], frozen=True):
    """What a reader found, with the bytes that a compare-and-set starts from."""

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
    beside: bytes = b""
    """Another release's section, which has not expired."""
    beside_expires_ms: int = 0
    """When another release's section expires, or did. 0: there is none."""


def new_lease() -> bytes:
    """A lease that no other process, thread or attempt ever writes."""
    return b"L" + os.urandom(12)


def new_mark() -> bytes:
    """What tells readers for a moment that each may load for itself."""
    return b"M" + os.urandom(12)


def token(raw: bytes) -> bytes:
    """The part of a value that no other value has."""
    return raw[:_TOKEN_BYTES]


def schema_id(value_type: Any, version: int) -> bytes:
    """Eight bytes that change with the type's shape or with the policy's version.

    Raises:
        PolicyError: msgspec cannot describe the type.
    """
    try:
        described = value_type.model_json_schema() if _is_pydantic(value_type) else msgspec.json.schema(value_type)
        shape = msgspec.json.encode(described, order="sorted")
    except TypeError as error:
        raise PolicyError(f"msgspec cannot serialize {value_type!r}: {error}") from error
    return hashlib.blake2b(shape + b"\0%d" % version, digest_size=8).digest()


class Codec(Generic[T]):
    """Encodes and decodes the envelopes of one policy."""

    def __init__(self, value_type: type[T], schema: bytes, *, early_refresh_beta: float, stale_seconds: float) -> None:
        self.schema = schema
        self._beta = early_refresh_beta
        self._stale_ms = stale_seconds * 1000
        self._encode: Callable[[T], bytes] = msgspec.json.Encoder().encode
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(value_type).decode
        self._is_model = _is_pydantic(value_type)
        if self._is_model:
            model: Any = value_type
            self._encode = lambda value: value.model_dump_json(by_alias=True, round_trip=True).encode()  # type: ignore[attr-defined]
            self._decode = model.model_validate_json

    def encode(self, key: str, value: T | None, *, expires: float, load_seconds: float) -> bytes:
        """A fill: `expires` in seconds since the epoch, `load_seconds` what the load cost (for XFetch)."""
        return self.seal(key, b"" if value is None else self._encode(value), expires=expires, load_seconds=load_seconds)

    def body(self, value: T) -> tuple[bytes, T]:
        """A value's bytes, and the value that a hit will make of them: of `value_type` throughout.

        Raises:
            Exception: the value cannot be encoded, is of another type, or JSON loses a part of it: a model's masked or
                excluded field, or NaN where None is allowed.
        """
        body = self._encode(value)
        hit = self._decode(body)
        if hit is None or (self._is_model and hit != value):
            # Without the value: what JSON masks is secret.
            lost = "masked, excluded or private fields" if self._is_model else "NaN"
            raise ValueError(f"a hit would be another value than the one that was loaded: JSON loses {lost}")
        return body, hit

    def seal(self, key: str, body: bytes, *, expires: float, load_seconds: float, beside: bytes = b"") -> bytes:
        """A fill of bytes that `body` made; none: the source has no value. `beside`: another release's section."""
        load_ms = int(min(_MAX_LOAD_MS, max(1, round(load_seconds * 1000))))
        expires_ms = int(min(_MAX_MS, max(0, expires * 1000)))
        section = _SECTION.pack(self.schema, expires_ms, load_ms, len(body)) + body
        return self.seal_beside(key, section + beside)

    def seal_beside(self, key: str, sections: bytes) -> bytes:
        """An envelope of these sections; of another release's alone where this one has nothing to cache."""
        name = key.encode()
        return _HEADER.pack(b"V", os.urandom(12), 0, len(name)) + name + sections

    def claim(self, raw: bytes, until: float) -> bytes:
        """The head of the same value under a new nonce, marked as being refreshed until then (seconds since epoch)."""
        return _CLAIM.pack(raw[:1], os.urandom(12), int(until * 1000))

    def head(self, raw: bytes) -> bytes:
        """The head of the value as it was, unclaimed."""
        return raw[: _CLAIM.size]

    def read(self, key: str, raw: bytes | Exception | None, now: float, draw: Callable[[], float]) -> Entry[T]:
        """Classify what a key holds at `now` (seconds since the epoch); `draw` returns a uniform number in [0, 1).

        An exception is what the server answers for this key alone, such as one of another type.
        """
        if raw is None:
            return Entry(State.ABSENT)
        if isinstance(raw, Exception):
            return Entry(State.REFUSED)
        now_ms = now * 1000
        try:
            kind, _, claimed_ms, size = _HEADER.unpack_from(raw)
            begin = _HEADER.size + size
            if kind != b"V" or raw[_HEADER.size : begin] != key.encode():
                return self._other(raw)
            claimed = now_ms < claimed_ms
            schema, expires_ms, load_ms, size = _SECTION.unpack_from(raw, begin)
            body, beside, beside_ms = raw[begin + _SECTION.size :], b"", 0
            if schema != self.schema or len(body) != size:
                mine, beside, beside_ms = self._sections(raw, begin, now_ms)
                if not mine:
                    return Entry(State.OTHER_SHAPE, raw, None, 0, claimed, beside=beside, beside_expires_ms=beside_ms)
                _, expires_ms, load_ms, _ = _SECTION.unpack_from(mine)
                body = mine[_SECTION.size :]
            value = self._decode(body) if body else None
        except _UNDECODABLE:
            return self._other(raw)
        if now_ms >= expires_ms:
            stale_ok = bool(body) and now_ms < expires_ms + self._stale_ms
            return Entry(State.EXPIRED, raw, value, expires_ms, claimed, False, stale_ok, beside, beside_ms)
        due = not claimed and now_ms - load_ms * self._beta * math.log(1 - draw()) >= expires_ms
        return Entry(State.FRESH, raw, value, expires_ms, claimed, due, False, beside, beside_ms)

    def _sections(self, raw: bytes, begin: int, now_ms: float) -> tuple[bytes, bytes, int]:
        """The section of this policy; another one that has not expired; when the last of the others does, or did.

        Raises:
            struct.error, ValueError: these are no sections.
        """
        mine, beside, beside_ms = b"", b"", 0
        while begin < len(raw):
            schema, expires_ms, _, size = _SECTION.unpack_from(raw, begin)
            end = begin + _SECTION.size + size
            if end > len(raw):
                raise ValueError("the section is cut off")
            if schema == self.schema:
                mine = raw[begin:end]
            else:
                if not beside and now_ms < expires_ms:
                    beside = raw[begin:end]
                beside_ms = max(beside_ms, expires_ms)
            begin = end
        return mine, beside, beside_ms

    @staticmethod
    def _other(raw: bytes) -> Entry[T]:
        if len(raw) == _TOKEN_BYTES and raw[:1] in b"LM" and raw:
            return Entry(State.LEASED if raw[:1] == b"L" else State.MARKED, raw)
        return Entry(State.UNREADABLE, raw)


def _is_pydantic(value_type: Any) -> bool:
    return isinstance(value_type, type) and hasattr(value_type, "model_validate_json")
