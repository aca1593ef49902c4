"""Logging in and out."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from storefront.entities import Session
from storefront.passwords import UNKNOWN_USER_HASH, verify_password
from storefront.repositories.sessions import SessionRepository
from storefront.services.errors import NotLoggedInError, WrongCredentialsError

LIFETIME = timedelta(hours=8)


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class SessionService:
    """Sessions are read from the database every time. Tokens are stored hashed: a copy of the table lets nobody in."""

    def __init__(self, repository: SessionRepository, clock: Callable[[], datetime] = utc_now) -> None:
        self._repository = repository
        self._clock = clock

    def log_in(self, username: str, password: str) -> tuple[str, Session]:
        """A new token and its session. WrongCredentialsError takes as long for a user that does not exist."""
        account = self._repository.find_account(username)
        matches = verify_password(password, account.password_hash if account else UNKNOWN_USER_HASH)
        if account is None or not matches:
            raise WrongCredentialsError
        token, now = secrets.token_urlsafe(32), self._clock().replace(microsecond=0)
        self._repository.insert(_hash(token), account.id, now + LIFETIME, now=now)
        return token, Session(username, now + LIFETIME)

    def current(self, token: str) -> Session:
        """The session of this token. NotLoggedInError."""
        session = self._repository.find(_hash(token), now=self._clock())
        if session is None:
            raise NotLoggedInError
        return session

    def log_out(self, token: str) -> None:
        """Ends the session of this token."""
        self._repository.delete(_hash(token))


def _hash(token: str) -> bytes:
    # A fast hash is enough: nobody can guess 256 random bits.
    return hashlib.sha256(token.encode()).digest()
