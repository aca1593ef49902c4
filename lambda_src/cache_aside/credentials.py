"""The AUTH token: read once, and once more when the server says that it is no longer right."""

import asyncio
import threading
import time
from collections.abc import Callable

import redis

_READ_AGAIN_SECONDS = 1.0


class Credentials(redis.CredentialProvider):
    """Hands redis-py the AUTH token. While it cannot be read, one caller a second tries and the others fail at once.

    Args:
        read: returns the token as it is now, from a secret store for example; called at the first connection and after
            a rejection, never concurrently.
        clock: monotonic seconds.
    """

    def __init__(self, read: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._next_read = clock()
        self.token: str | None = None

    def get_credentials(self) -> tuple[str]:
        """What AUTH is sent with.

        Raises:
            redis.ConnectionError: the token cannot be read; for readers the cache is unavailable then.
        """
        with self._lock:
            if self.token is None:
                self.token = self._read_now()
            return (self.token,)

    def _read_now(self) -> str:
        if self._clock() < self._next_read:
            raise redis.ConnectionError("the AUTH token could not be read a moment ago")
        try:
            return self._read()
        except Exception as error:
            self._next_read = self._clock() + _READ_AGAIN_SECONDS
            raise redis.ConnectionError(f"the AUTH token cannot be read: {error}") from error

    async def get_credentials_async(self) -> tuple[str]:
        """The same for an event loop, which reading a secret must not block."""
        return await asyncio.to_thread(self.get_credentials)

    def reject(self, token: str | None) -> None:
        """Forget this token, unless another thread has replaced it already."""
        with self._lock:
            if self.token == token:
                self.token = None

    def after_fork(self) -> None:
        """In the child: a thread of the parent may have held the lock."""
        self._lock = threading.Lock()
