"""The client for Redis and Valkey servers."""

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from cache_aside.client import CacheUnavailableError, CommandRefusedError

T = TypeVar("T")


class RedisClient:
    """One connection a thread: no pool to exhaust, and the fastest way through redis-py.

    `credentials` is asked whenever a connection is made; None sends no password. `tls` verifies certificate and host
    name with the system's roots. `timeout_seconds` bounds connecting, the TLS handshake and each answer, one by one.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        credentials: redis.CredentialProvider | None = None,
        tls: bool = True,
        timeout_seconds: float = 0.2,
    ) -> None:
        self._connect: Callable[[], redis.Redis] = partial(
            redis.Redis,
            host=host,
            port=port,
            credential_provider=credentials,
            ssl=tls,
            socket_connect_timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            single_connection_client=True,
            # redis-py's own retries cost seconds when a server hangs; this class and the breaker decide instead.
            retry=Retry(NoBackoff(), 0),
            # Each costs a round trip on connecting.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            driver_info=None,
        )
        self._thread = threading.local()
        self._epoch = object()

    def get(self, key: str) -> bytes | None:
        """GET."""
        return self._run(lambda client: cast("bytes | None", client.get(key)))

    def set(self, key: str, value: bytes, *, ttl_milliseconds: int) -> None:
        """SET with PX."""
        self._run(lambda client: client.set(key, value, px=ttl_milliseconds))

    def delete(self, key: str) -> None:
        """DEL."""
        self._run(lambda client: client.delete(key))

    def ping(self) -> None:
        """PING."""
        self._run(lambda client: client.ping())

    def _run(self, command: Callable[[redis.Redis], T]) -> T:
        try:
            if self._has_connection():
                try:
                    return command(self._thread.client)
                except redis.ConnectionError:
                    # The server closed it while it was idle, or restarted. All commands here may be repeated.
                    self._thread.client.close()
            self._thread.client, self._thread.epoch = self._connect(), self._epoch
            return command(self._thread.client)
        except redis.ReadOnlyError as error:
            self._abandon_connections()
            raise CommandRefusedError(str(error)) from error
        except redis.ResponseError as error:
            raise CommandRefusedError(str(error)) from error
        except redis.RedisError as error:
            self._abandon_connections()
            raise CacheUnavailableError(str(error)) from error

    def _has_connection(self) -> bool:
        return getattr(self._thread, "epoch", None) is self._epoch

    def _abandon_connections(self) -> None:
        """Makes every thread connect anew: what broke this thread's connection has most likely broken theirs."""
        self._epoch = object()
