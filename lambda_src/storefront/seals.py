"""Seals on cached sessions, so that whoever can write to the cache cannot log in as somebody else."""

import hashlib
import hmac
from collections.abc import Callable

import msgspec

from storefront.entities import SealedSession, Session

_encode = msgspec.msgpack.Encoder().encode


class Seals:
    """A seal is an HMAC-SHA256 over a session and the hash of its token: an entry is worth nothing under another key.

    Its secret is in the database, which the cache never sees. `read_secret` is called once, when it is first needed.
    """

    def __init__(self, read_secret: Callable[[], bytes]) -> None:
        self._read_secret = read_secret
        self._secret: bytes | None = None

    def seal(self, token_hash: bytes, session: Session) -> SealedSession:
        """The session as it may be cached. What `read_secret` raises."""
        return SealedSession(session, self._mac(token_hash, session))

    def holds(self, token_hash: bytes, sealed: SealedSession) -> bool:
        """Whether the app has sealed this session for this token. What `read_secret` raises."""
        return hmac.compare_digest(sealed.seal, self._mac(token_hash, sealed.session))

    def _mac(self, token_hash: bytes, session: Session) -> bytes:
        self._secret = self._secret or self._read_secret()
        return hmac.digest(self._secret, token_hash + _encode(session), hashlib.sha256)
