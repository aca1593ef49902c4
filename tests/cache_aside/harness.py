"""The same tests for both clients, on a fake and on a real server: what they need to look the same."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, TypeVarTuple

import msgspec

from cache_aside import AsyncCacheAside, Invalidation, Policy, Replicas, Result
from cache_aside.aio_link import AsyncTransport
from cache_aside.connection import Identity, Trust, pack
from cache_aside.errors import CacheUnavailableError
from cache_aside.link import Transport
from cache_aside.steps import Deliver, RoundTrip
from faults.fake_server import FakeServer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Product(msgspec.Struct, frozen=True):
    id: int
    name: str


class Counted:
    """A transport that counts its round trips and their bytes, and can be cut."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.trips = self.sent_bytes = 0
        self.cut = False

    def execute(self, trip: RoundTrip) -> list[Any]:
        self.trips += 1
        self.sent_bytes += len(pack(trip.commands))
        if self.cut:
            raise CacheUnavailableError("cut")
        return self._inner.execute(trip)

    def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        if self.cut:
            raise CacheUnavailableError("cut")
        return self._inner.deliver(delivery)

    def after_fork(self) -> None:
        self._inner.after_fork()

    def close(self) -> None:
        self._inner.close()


class CountedAsync:
    """The same for the async client."""

    def __init__(self, inner: AsyncTransport) -> None:
        self._inner = inner
        self.trips = self.sent_bytes = 0
        self.cut = False

    async def execute(self, trip: RoundTrip) -> list[Any]:
        self.trips += 1
        self.sent_bytes += len(pack(trip.commands))
        if self.cut:
            raise CacheUnavailableError("cut")
        return await self._inner.execute(trip)

    async def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        if self.cut:
            raise CacheUnavailableError("cut")
        return await self._inner.deliver(delivery)

    async def close(self) -> None:
        await self._inner.close()


class TrustOnce(Trust):
    """Trusts the server for one round trip, as if it failed over to another then."""

    def __init__(self) -> None:
        super().__init__(lambda _: False)
        self._answers = iter([True])

    def remembered(self, replication_id: str) -> bool | None:
        return next(self._answers, False)


class FakeTransport:
    """Carries commands to a fake server, one round trip at a time."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._lock = threading.Lock()

    def execute(self, trip: RoundTrip) -> list[Any]:
        with self._lock:
            return [self._server.execute(op) for op in trip.commands]

    def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        identity = Identity(True, self._server.replication_id.decode(), self._server.replicas)
        return self.execute(RoundTrip(delivery.commands)), identity

    def after_fork(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


class AsyncFakeTransport:
    """The same for the async client."""

    def __init__(self, server: FakeServer) -> None:
        self._inner = FakeTransport(server)

    async def execute(self, trip: RoundTrip) -> list[Any]:
        return self._inner.execute(trip)

    async def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        return self._inner.deliver(delivery)

    async def close(self) -> None:
        """Nothing is held."""


class Cache(Protocol):
    """What both clients do, as plain calls."""

    def get_or_load(self, key: str, load: Callable[[*Ts], T | None], *args: *Ts, policy: Policy[T]) -> Result[T]: ...

    def get_many_or_load(
        self,
        keys: Iterable[str],
        load: Callable[[Sequence[str], *Ts], Mapping[str, T | None]],
        *args: *Ts,
        policy: Policy[T],
    ) -> dict[str, Result[T]]: ...

    def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Invalidation: ...

    def replication_id(self) -> str: ...

    def available(self) -> bool: ...

    def close(self) -> None: ...


class OnLoop:
    """An async client on an event loop of its own, called from threads; loaders run in threads."""

    def __init__(self, make: Callable[[], AsyncCacheAside]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def made() -> AsyncCacheAside:
            return make()

        self._client = self._wait(made())

    def get_or_load(self, key: str, load: Callable[[*Ts], T | None], *args: *Ts, policy: Policy[T]) -> Result[T]:
        def in_thread(*given: *Ts) -> Awaitable[T | None]:
            return asyncio.to_thread(load, *given)

        return self._wait(self._client.get_or_load(key, in_thread, *args, policy=policy))

    def get_many_or_load(
        self,
        keys: Iterable[str],
        load: Callable[[Sequence[str], *Ts], Mapping[str, T | None]],
        *args: *Ts,
        policy: Policy[T],
    ) -> dict[str, Result[T]]:
        def in_thread(missing: Sequence[str], *given: *Ts) -> Awaitable[Mapping[str, T | None]]:
            return asyncio.to_thread(load, missing, *given)

        return self._wait(self._client.get_many_or_load(keys, in_thread, *args, policy=policy))

    def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        return self._wait(self._client.invalidate(*keys, replicas=replicas))

    def replication_id(self) -> str:
        return self._wait(self._client.replication_id())

    def available(self) -> bool:
        return self._wait(self._client.available())

    def close(self) -> None:
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, made: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(made, self._loop).result(30)


class Bench(msgspec.Struct):
    """One client under test, its counter, and direct access to its server."""

    cache: Cache
    transport: Counted | CountedAsync
    command: Callable[..., Any]
