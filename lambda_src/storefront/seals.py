"""Seals on cached sessions, so that whoever can write to the cache cannot log in as somebody else."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from storefront.database import DatabaseUnavailableError
from storefront.entities import SealedSession, Session
from storefront.policies import SEAL_SECONDS


class _Body(msgspec.Struct, frozen=True):
    session: Session
    sealed_at: datetime


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Body).decode


class BrokenSealError(Exception):
    """Somebody else has written or moved this entry, or put it back: its seal is wrong, another key's, or too old."""


class Seals:
    """A seal is an HMAC-SHA256 over the bytes of a session that name its token's hash and the time of sealing.

    Its secrets are in the database, which the cache never sees: the newest seals, and the one before it still opens, so
    that a rotation breaks no seal. `read_secrets` gives them in that order. It is called when they are first needed,
    every SEAL_SECONDS, and for a seal that they do not open: another process may know a newer one.
    """

    def __init__(self, read_secrets: Callable[[], Sequence[bytes]]) -> None:
        self._read_secrets = read_secrets
        self._secrets: Sequence[bytes] = ()
        self._asked_at = datetime.min.replace(tzinfo=UTC)

    def seal(self, session: Session, *, now: datetime) -> SealedSession:
        """The session as it may be cached. What `read_secrets` raises."""
        body = _encode(_Body(session, now))
        return SealedSession(body, _mac(self._known(now)[0], body))

    def open(self, token_hash: bytes, sealed: SealedSession, *, now: datetime) -> Session | None:
        """The session that this app has sealed for this token in the last SEAL_SECONDS.

        None for one that a release with other sessions has sealed. BrokenSealError, and what `read_secrets` raises.
        Bytes are decoded only if their seal holds.
        """
        if not _holds(sealed, self._known(now)) and not _holds(sealed, self._read(now)):
            raise BrokenSealError
        try:
            body = _decode(sealed.body)
        except msgspec.MsgspecError:
            return None
        if body.session.token_hash != token_hash or (now - body.sealed_at).total_seconds() >= SEAL_SECONDS:
            raise BrokenSealError
        return body.session

    def _known(self, now: datetime) -> Sequence[bytes]:
        if not self._secrets:
            return self._read(now)
        if (now - self._asked_at).total_seconds() >= SEAL_SECONDS:
            self._asked_at = now
            with suppress(DatabaseUnavailableError):  # cached sessions let in while it is down
                self._read(now)
        return self._secrets

    def _read(self, now: datetime) -> Sequence[bytes]:
        self._secrets, self._asked_at = self._read_secrets(), now
        return self._secrets


def _holds(sealed: SealedSession, secrets: Sequence[bytes]) -> bool:
    return any(hmac.compare_digest(sealed.seal, _mac(secret, sealed.body)) for secret in secrets)


def _mac(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, body, hashlib.sha256)
