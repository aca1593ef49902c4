"""The protocol: check, load, store; commit, then delete."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from redis import CredentialProvider

from cache_aside.breaker import Breaker
from cache_aside.client import CacheUnavailableError, Client, CommandRefusedError
from cache_aside.policy import Policy
from cache_aside.redis_client import RedisClient
from cache_aside.results import Invalidation, Result, Served

V = TypeVar("V")
T = TypeVar("T")


class CacheAside:
    """Plain cache-aside on one primary.

    A write that commits between a reader's load and its store is overwritten in the cache by the reader's older
    value, which then stays until it expires.
    """

    def __init__(self, client: Client, *, probe_interval_seconds: float = 0.5) -> None:
        """An unreachable cache is tried every `probe_interval_seconds`, so that its recovery is noticed as soon."""
        self._client = client
        self._breaker = Breaker(probe_interval_seconds=probe_interval_seconds)

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        *,
        credentials: CredentialProvider | None = None,
        tls: bool = True,
        timeout_seconds: float = 0.2,
    ) -> "CacheAside":
        """A cache on the server at this address; connects when it is first used, see RedisClient for the arguments."""
        return cls(RedisClient(host, port, credentials=credentials, tls=tls, timeout_seconds=timeout_seconds))

    def get_or_load(self, key: str, load: Callable[[], V | None], *, policy: Policy[V]) -> Result[V]:
        """The cached value of `key`, else what `load` returns, stored as the policy says. Only `load` can raise."""
        try:
            stored = self._guarded(lambda: self._client.get(key))
        except CacheUnavailableError:
            return Result(load(), Served.BYPASS)
        if stored is not None and (decoded := policy.decode(stored)) is not None:
            return Result(decoded[0], Served.HIT)
        value = load()
        with suppress(CacheUnavailableError):
            ttl = policy.ttl_milliseconds(value)
            self._guarded(lambda: self._client.set(key, policy.encode(value), ttl_milliseconds=ttl))
        return Result(value, Served.MISS)

    def invalidate(self, key: str) -> Invalidation:
        """Deletes the entry; call it after the commit. Tries with the breaker open too: others may reach the cache."""
        try:
            self._recorded(lambda: self._client.delete(key))
        except CacheUnavailableError:
            return Invalidation.PENDING
        return Invalidation.CONFIRMED

    def available(self) -> bool:
        """Whether the cache answers now."""
        try:
            self._recorded(self._client.ping)
        except CacheUnavailableError:
            return False
        return True

    def _guarded(self, command: Callable[[], T]) -> T:
        if not self._breaker.allows():
            raise CacheUnavailableError("the cache just failed")
        return self._recorded(command)

    def _recorded(self, command: Callable[[], T]) -> T:
        try:
            answer = command()
        except CommandRefusedError:
            self._breaker.succeeded()
            raise
        except CacheUnavailableError:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return answer
