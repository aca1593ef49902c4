"""The servers that the contract suite runs on, each of which can be taken down and brought back."""

import time
from collections.abc import Callable
from typing import Protocol, cast

import redis

from cache_aside import CacheUnavailableError, Client
from cache_aside.redis_client import RedisClient
from local.engines import Valkey


class Backend(Protocol):
    """A cache server and a client of it."""

    @property
    def client(self) -> Client:
        """The client under test."""

    def stop(self) -> None:
        """Makes it unreachable."""

    def start(self) -> None:
        """Makes it reachable again, empty."""

    def remaining_milliseconds(self, key: str) -> int:
        """How long the entry will live."""


class FakeClient:
    """A cache in memory that can be switched off."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.reachable = True
        self.calls = 0
        self.entries: dict[str, tuple[bytes, float]] = {}
        self._clock = clock

    def get(self, key: str) -> bytes | None:
        self.ping()
        value, expires_at = self.entries.get(key, (None, 0.0))
        return value if self._clock() < expires_at else None

    def set(self, key: str, value: bytes, *, ttl_milliseconds: int) -> None:
        self.ping()
        self.entries[key] = (value, self._clock() + ttl_milliseconds / 1000)

    def delete(self, key: str) -> None:
        self.ping()
        self.entries.pop(key, None)

    def ping(self) -> None:
        self.calls += 1
        if not self.reachable:
            raise CacheUnavailableError("switched off")


class FakeBackend:
    """The cache in memory."""

    def __init__(self) -> None:
        self.client = FakeClient()

    def stop(self) -> None:
        self.client.reachable = False

    def start(self) -> None:
        self.client.entries.clear()
        self.client.reachable = True

    def remaining_milliseconds(self, key: str) -> int:
        return round((self.client.entries[key][1] - time.monotonic()) * 1000)


class ValkeyBackend:
    """A real Valkey, killed and started again. `connect` opens a connection beside the client's own."""

    def __init__(self, engine: Valkey, client: RedisClient, connect: Callable[[], redis.Redis]) -> None:
        self.client = client
        self._engine = engine
        self._connect = connect

    def stop(self) -> None:
        self._engine.kill()

    def start(self) -> None:
        self._engine.start()

    def remaining_milliseconds(self, key: str) -> int:
        with self._connect() as connection:
            return int(cast("int", connection.pttl(key)))
