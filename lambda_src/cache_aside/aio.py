"""The asynchronous client: the same protocol, driven by an event loop."""

import asyncio
import contextlib
import inspect
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from cache_aside.aio_link import AsyncLink, AsyncTransport
from cache_aside.breaker import Breaker
from cache_aside.connection import Server, Trust
from cache_aside.credentials import AuthToken
from cache_aside.errors import CacheUnavailableError, LoadTimeoutError, TooManyLoadsError
from cache_aside.flights import Flights, Queue
from cache_aside.invalidation import identify, invalidate
from cache_aside.keys import Cached, Namespace
from cache_aside.observe import Event, Observer, guarded, log_once
from cache_aside.policy import DEFAULTS, Options, Policy
from cache_aside.protocol import ReadThrough, Surroundings
from cache_aside.results import Invalidation, Replicas, Result
from cache_aside.steps import Background, Deliver, Join, Load, Pause, RoundTrip, Step, Steps

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
LoadMany = Callable[[Sequence[str]], Awaitable[Mapping[str, T | None]]]


class _Room:
    """What the tasks of one event loop share."""

    def __init__(self, options: Options, observer: Observer) -> None:
        flights, past = Flights(asyncio.Event), Queue(asyncio.Event)
        most = options.read_timeout_seconds + options.probe_timeout_seconds
        self.reads = ReadThrough(Surroundings(flights, past, observer, cache_seconds=most))
        self.places = asyncio.Semaphore(options.bypass_concurrency)
        self.workers = asyncio.Semaphore(options.background_workers)
        self.tasks: set[asyncio.Task[Any]] = set()


class AsyncCacheAside:
    """Reads through the cache and never keeps a value that was invalidated. For the tasks of any event loop."""

    def __init__(
        self,
        transport: AsyncTransport,
        *,
        namespace: str = "",
        options: Options = DEFAULTS,
        observer: Observer | None = None,
    ) -> None:
        self._namespace = Namespace(namespace)
        self._transport, self._options, self._observer = transport, options, guarded(observer)
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, _Room] = WeakKeyDictionary()

    @property
    def _room(self) -> _Room:
        loop = asyncio.get_running_loop()
        room = self._rooms.get(loop)
        if room is None:
            for ended in [loop for loop in self._rooms if loop.is_closed()]:
                del self._rooms[ended]
            room = self._rooms[loop] = _Room(self._options, self._observer)
        return room

    @classmethod
    def connect(
        cls,
        host: str,
        port: int = 6379,
        *,
        auth_token: AuthToken = None,
        tls: bool | ssl.SSLContext = True,
        is_replayed: Callable[[str], bool] | None = None,
        namespace: str = "",
        options: Options = DEFAULTS,
        observer: Observer | None = None,
    ) -> "AsyncCacheAside":
        """A client of a primary endpoint; the arguments are those of `CacheAside.connect`.

        `auth_token` and `is_replayed` are plain functions, called in a thread.
        """
        link = AsyncLink(
            Server.of(host, port, auth_token, tls, options),
            breaker=Breaker(options.probe_interval_seconds, options.probe_timeout_seconds),
            trust=Trust(is_replayed),
            connections=options.connections,
            background=options.background,
            observer=guarded(observer),
        )
        return cls(link, namespace=namespace, options=options, observer=observer)

    async def get_or_load(
        self, key: str, load: Callable[[*Ts], Awaitable[T | None]], *args: *Ts, policy: Policy[T]
    ) -> Result[T]:
        """The value of a key: from the cache, or from `load(*args)`, cancelled after the policy's load timeout.

        Give the load its arguments rather than a closure; see `CacheAside.get_or_load`.

        Raises:
            TypeError, ValueError: the key is no str, or has more than 65,535 bytes; the loader is synchronous.
            TooManyLoadsError: the cache is unavailable and too many loads go past it.
            LoadTimeoutError: the load took too long, and the policy allows no stale value.
            Exception: whatever `load` raises, unless the policy allows a stale value in its place.
        """
        full = self._namespace.full(key)

        async def load_one(_: Sequence[str]) -> Mapping[str, T | None]:
            return {full: await _awaitable(load(*args))}

        started = time.monotonic()
        behind = policy.background and bool(args) and self._options.background
        result: Result[T] = await self._drive(self._room.reads.get(full, policy, behind=behind), load_one)
        self._observer.on_event(policy.name, result.served, time.monotonic() - started)
        return result

    async def get_many_or_load(
        self,
        keys: Iterable[str],
        load: Callable[[Sequence[str], *Ts], Awaitable[Mapping[str, T | None]]],
        *args: *Ts,
        policy: Policy[T],
    ) -> dict[str, Result[T]]:
        """The values of many keys: one round trip, and one call of `load(missing, *args)` with the missing keys."""

        async def load_many(missing: Sequence[str]) -> Mapping[str, T | None]:
            return self._namespace.by_full_key(await _awaitable(load(self._namespace.names(missing), *args)))

        started = time.monotonic()
        behind = policy.background and bool(args) and self._options.background
        steps = self._room.reads.get_many(self._namespace.full_keys(keys), policy, behind=behind)
        results: dict[str, Result[T]] = await self._drive(steps, load_many)
        for result in results.values():
            self._observer.on_event(policy.name, result.served, time.monotonic() - started)
        return self._namespace.by_name(results)

    async def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Delete the keys, after the write was committed; see `CacheAside.invalidate`."""
        started = time.monotonic()
        full = tuple(self._namespace.full_keys(keys))
        steps = invalidate(full, replicas, deadline_seconds=self._options.invalidation_seconds)
        outcome: Invalidation = await self._drive(steps)
        event = Event.CONFIRMED if outcome.confirmed else Event.PENDING
        self._observer.on_event("", event, time.monotonic() - started)
        return outcome if full == keys else replace(outcome, keys=keys)

    def cached(
        self, template: str, *, policy: Policy[T]
    ) -> Callable[[Callable[P, Awaitable[T | None]]], Cached[P, Awaitable[T | None]]]:
        """Decorate a coroutine function; see `CacheAside.cached`."""

        def decorate(function: Callable[P, Awaitable[T | None]]) -> Cached[P, Awaitable[T | None]]:
            async def read(key: str, load: Callable[..., Awaitable[T | None]], *args: Any) -> T | None:
                return (await self.get_or_load(key, load, *args, policy=policy)).value

            return Cached(template, function, read, self.invalidate)

        return decorate

    async def replication_id(self) -> str:
        """The replication history that the primary serves; see `CacheAside.replication_id`."""
        replication_id: str = await self._drive(identify(self._options.invalidation_seconds))
        return replication_id

    async def available(self) -> bool:
        """Whether the primary answers now; see `CacheAside.available`."""
        try:
            await self._drive(identify(2 * self._options.read_timeout_seconds))
        except CacheUnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Let background work end, and close every connection."""
        await asyncio.gather(*self._room.tasks, return_exceptions=True)
        await self._transport.close()

    async def _drive(self, steps: Steps[Any], load: LoadMany[Any] | None = None) -> Any:
        """Do what the protocol asks, to its end, and tell it whatever is raised; see `CacheAside._drive`."""
        raised: BaseException | None = None
        while True:
            try:
                step = steps.send(None) if raised is None else steps.throw(raised)
                raised = None
                while True:
                    if isinstance(step, RoundTrip):
                        step = steps.send(await self._transport.execute(step))
                    else:
                        step = steps.send(await self._perform(step, load))
            except BaseException as error:
                if steps.gi_frame is None:  # type: ignore[attr-defined]  # it has ended
                    if isinstance(error, StopIteration):
                        return error.value
                    raise
                raised = error

    async def _perform(self, step: Step, load: LoadMany[Any] | None) -> Any:
        match step:
            case Load() if load is not None:
                return await self._load(load, step)
            case Pause():
                return await asyncio.sleep(step.seconds)
            case Join():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(step.latch.wait(), step.timeout_seconds)
                return None
            case Background():
                return await self._behind(step, load)
            case Deliver():
                return await self._transport.deliver(step)
        raise AssertionError(step)

    async def _load(self, load: LoadMany[Any], step: Load) -> Mapping[str, Any]:
        if not step.limited:
            return await self._load_within(load, step)
        try:
            await asyncio.wait_for(self._room.places.acquire(), self._options.bypass_wait_seconds)
        except TimeoutError:
            raise TooManyLoadsError(self._options.retry_after_seconds) from None
        try:
            return await self._load_within(load, step)
        finally:
            self._room.places.release()

    async def _load_within(self, load: LoadMany[Any], step: Load) -> Mapping[str, Any]:
        limit = asyncio.timeout(step.timeout_seconds)
        try:
            async with limit:
                return await load(step.keys)
        except TimeoutError as error:
            if limit.expired():
                raise LoadTimeoutError(f"the load of {step.keys} took over {step.timeout_seconds} s") from error
            raise

    async def _behind(self, step: Background, load: LoadMany[Any] | None) -> Any:
        task = asyncio.create_task(self._behind_limited(step.steps, load))
        tasks = self._room.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await asyncio.wait({task}, timeout=step.wait_seconds)
        if task.done():
            return task.result()
        task.add_done_callback(_report)
        return None

    async def _behind_limited(self, steps: Steps[Any], load: LoadMany[Any] | None) -> Any:
        async with self._room.workers:
            return await self._drive(steps, load)


def _awaitable(loading: R) -> R:
    """What a loader returned, which is to be awaited.

    Raises:
        TypeError: the loader is synchronous.
    """
    if not inspect.isawaitable(loading):
        raise TypeError(
            "the loader of an AsyncCacheAside is an `async def`; for a plain function use asyncio.to_thread"
        )
    return loading


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log_once(f"background {type(error)}", "a load in the background failed", error)
