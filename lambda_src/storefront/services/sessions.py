"""Logging in and out."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cache_aside import CacheAside, Invalidation, Replicas, Result, Served, SqlOutbox
from storefront.entities import SealedSession, Session, canonical
from storefront.errors import NotLoggedInError, WrongCredentialsError
from storefront.passwords import Passwords
from storefront.policies import SESSION, session_key
from storefront.repositories.sessions import SessionRepository
from storefront.seals import BrokenSealError, Seals
from storefront.security_log import Kind, SecurityEvent, record

LIFETIME = timedelta(hours=8)


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class SessionService:
    """Sessions are read through the cache, which knows them, as the database does, by the hash of their token only."""

    def __init__(
        self,
        repository: SessionRepository,
        cache: CacheAside,
        outbox: SqlOutbox,
        passwords: Passwords,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._repository = repository
        self._cache = cache
        self._outbox = outbox
        self._passwords = passwords
        self._clock = clock
        self._seals = Seals(repository.seal_secrets)

    def log_in(self, username: str, password: str) -> tuple[str, Session]:
        """A new token and its session. WrongCredentialsError takes as long for a user that does not exist.

        PasswordsBusyError, DatabaseUnavailableError.
        """
        account = self._repository.find_account(canonical(username))
        matches = self._passwords.verify(password, account.password_hash if account else None)
        if account is None or not matches:
            raise WrongCredentialsError(canonical(username) if account else None)
        token, now = secrets.token_urlsafe(32), self._clock().replace(microsecond=0)
        if not self._repository.insert(token_hash(token), account, now + LIFETIME, now=now):
            raise WrongCredentialsError(canonical(username))
        record(SecurityEvent(event=Kind.LOGGED_IN, user=canonical(username), role=account.role))
        return token, Session(account.id, canonical(username), account.role, now + LIFETIME, token_hash(token))

    def current(self, token: str) -> Session:
        """The session of this token. NotLoggedInError; DatabaseUnavailableError, TooManyLoadsError."""
        hashed, now = token_hash(token), self._clock()
        key = session_key(hashed)

        def load() -> SealedSession | None:
            found = self._repository.find(hashed, now=now)
            return self._seals.seal(found, now=now) if found else None

        result = self._cache.get_or_load(key, load, policy=SESSION)
        session = self._opened(hashed, result, now)
        if session is None and (result.value or result.served is Served.HIT):
            self._cache.invalidate(key)
            session = self._repository.find(hashed, now=now)
        if session is None or session.expires_at <= now:
            raise NotLoggedInError
        return session

    def _opened(self, hashed: bytes, result: Result[SealedSession], now: datetime) -> Session | None:
        """The session in what was read, if the app has sealed it; else None, recorded where somebody else wrote it."""
        try:
            if result.value:
                return self._seals.open(hashed, result.value, now=now)
            broken = result.served is Served.HIT  # that there is no session the app never caches
        except BrokenSealError:
            broken = True
        if broken:
            record(SecurityEvent(event=Kind.SEAL_BROKEN))
        return None

    def log_out(self, token: str) -> Invalidation:
        """Ends the session of this token; confirmed once no server that may answer for the cache knows it any more.

        NotLoggedInError when the session has been ended before: the outcome was told to whoever ended it.
        """
        hashed = token_hash(token)
        obsolete = self._repository.delete(hashed)
        if obsolete is None:
            self._cache.invalidate(session_key(hashed))
            raise NotLoggedInError
        return self._outbox.deliver(self._cache, obsolete, replicas=Replicas.ALL)


def token_hash(token: str) -> bytes:
    """What is stored of a token."""
    # A fast hash is enough: nobody can guess 256 random bits.
    return hashlib.sha256(token.encode()).digest()
