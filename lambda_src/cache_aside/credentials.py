"""What connections authenticate with: an AUTH token, read once and when it is refused, or a user's, which expires."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from math import inf

import redis

_READ_AGAIN_SECONDS = 1.0


class Credentials(redis.CredentialProvider):
    """Hands redis-py the token. While it cannot be read, one caller a second tries and the others fail at once.

    Args:
        read: returns the token as it is now, from a secret store for example, or signs a new one; called at the first
            connection, after a rejection and when the token is too old, never concurrently.
        clock: monotonic seconds.
        username: the user to authenticate as. Default None: the default user, which a replication group's AUTH token
            belongs to.
        token_seconds: how long new connections use one token. Default: until the server refuses it.
        connection_seconds: how long a connection lives on one authentication; before the next command it sends AUTH
            again. Default: for ever.

    Raises:
        TypeError: read is no plain function.
    """

    def __init__(
        self,
        read: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        *,
        username: str | None = None,
        token_seconds: float = inf,
        connection_seconds: float = inf,
    ) -> None:
        if not is_plain_function(read):
            # Without its value, which may be a secret.
            kind = "a coroutine function" if callable(read) else type(read).__name__
            raise TypeError(f"read must be a plain function that returns the token, not {kind}")
        self._read = read
        self.clock = clock
        self._username = username
        self._token_seconds = token_seconds
        self._connection_seconds = connection_seconds
        self._lock = threading.Lock()
        self._next_read = clock()
        self._expires = inf
        self.token: str | None = None

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """What AUTH is sent with.

        Raises:
            redis.ConnectionError: the token cannot be read; for readers the cache is unavailable then.
        """
        with self._lock:
            if self.token is None or self.clock() >= self._expires:
                self.token = self._read_now()
            return (self.token,) if self._username is None else (self._username, self.token)

    def _read_now(self) -> str:
        now = self.clock()
        if now < self._next_read:
            raise redis.ConnectionError("the AUTH token could not be read a moment ago")
        try:
            token = self._read()
        except Exception as error:
            self._next_read = self.clock() + _READ_AGAIN_SECONDS
            raise redis.ConnectionError(f"the AUTH token cannot be read: {error}") from error
        self._expires = now + self._token_seconds
        return token

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """The same for an event loop, which reading a secret must not block."""
        return await asyncio.to_thread(self.get_credentials)

    @property
    def expire(self) -> bool:
        """Whether a connection has to authenticate again some time."""
        return self._connection_seconds < inf

    def due(self, authenticated: float) -> bool:
        """Whether a connection that authenticated at that time, by `clock`, has to do it again."""
        return self.clock() - authenticated >= self._connection_seconds

    def reject(self, token: str | None) -> None:
        """Forget this token, unless another thread has replaced it already."""
        with self._lock:
            if self.token == token:
                self.token = None

    def after_fork(self) -> None:
        """In the child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()


AuthToken = str | Callable[[], str] | Credentials | None


def credentials_of(auth_token: AuthToken) -> Credentials | None:
    """What a client is given as its token: the token itself, what reads it, or `Credentials`.

    Raises:
        TypeError, ValueError: it is none of these, or empty.
    """
    if not (auth_token is None or isinstance(auth_token, str | Credentials) or is_plain_function(auth_token)):
        # Without its value, which may be a secret.
        kind = "a coroutine function" if callable(auth_token) else type(auth_token).__name__
        raise TypeError(f"auth_token must be a str, a function that returns one, Credentials or None, not {kind}")
    if auth_token == "":
        raise ValueError("auth_token is empty: give the token, or None for a server that asks for none")
    if auth_token is None or isinstance(auth_token, Credentials):
        return auth_token
    return Credentials(lambda: auth_token) if isinstance(auth_token, str) else Credentials(auth_token)


def is_plain_function(value: object) -> bool:
    """Whether it can be called and returns what it says, not a coroutine that nobody would await."""
    call = getattr(value, "__call__", None)  # noqa: B004 - of an object, which may be asynchronous
    return callable(value) and not inspect.iscoroutinefunction(value) and not inspect.iscoroutinefunction(call)
