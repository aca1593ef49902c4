"""Seals on cached sessions, so that whoever can write to the cache cannot log in as somebody else."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime

import msgspec

from storefront.entities import SealedSession, Session
from storefront.policies import SEAL_SECONDS


class _Body(msgspec.Struct, frozen=True):
    session: Session
    sealed_at: datetime


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Body).decode


class Seals:
    """A seal is an HMAC-SHA256 over the bytes of a session that name its token's hash and the time of sealing.

    Its secret is in the database, which the cache never sees. `read_secret` is called once, when it is first needed.
    """

    def __init__(self, read_secret: Callable[[], bytes]) -> None:
        self._read_secret = read_secret
        self._secret: bytes | None = None

    def seal(self, session: Session, *, now: datetime) -> SealedSession:
        """The session as it may be cached. What `read_secret` raises."""
        body = _encode(_Body(session, now))
        return SealedSession(body, self._mac(body))

    def open(self, token_hash: bytes, sealed: SealedSession, *, now: datetime) -> Session | None:
        """The session that this app has sealed for this token in the last SEAL_SECONDS; else None.

        Bytes are decoded only if their seal holds. What `read_secret` raises.
        """
        if not hmac.compare_digest(sealed.seal, self._mac(sealed.body)):
            return None
        try:
            body = _decode(sealed.body)
        except msgspec.MsgspecError:
            return None  # sealed by a release whose sessions look otherwise
        if body.session.token_hash != token_hash or (now - body.sealed_at).total_seconds() >= SEAL_SECONDS:
            return None
        return body.session

    def _mac(self, body: bytes) -> bytes:
        self._secret = self._secret or self._read_secret()
        return hmac.digest(self._secret, body, hashlib.sha256)
