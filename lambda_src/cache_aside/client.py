"""The synchronous client."""

import inspect
import os
import ssl
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

from msgspec.structs import replace

from cache_aside.breaker import Breaker
from cache_aside.connection import Server, Trust
from cache_aside.credentials import AuthToken
from cache_aside.errors import CacheUnavailableError, TooManyLoadsError
from cache_aside.flights import Flights, Places, Queue, ThreadLatch
from cache_aside.invalidation import identify, invalidate
from cache_aside.keys import Cached, Namespace
from cache_aside.link import Link, Transport
from cache_aside.observe import Event, Observer, guarded, log_once
from cache_aside.policy import DEFAULTS, Options, Policy
from cache_aside.protocol import ReadThrough, Surroundings
from cache_aside.results import Invalidation, Replicas, Result
from cache_aside.steps import Background, Deliver, Join, Load, Pause, RoundTrip, Step, Steps

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
LoadMany = Callable[[Sequence[str]], Mapping[str, T | None]]


class CacheAside:
    """Reads through the cache and never keeps a value that was invalidated. Safe for threads and for fork."""

    def __init__(
        self,
        transport: Transport,
        *,
        namespace: str = "",
        options: Options = DEFAULTS,
        observer: Observer | None = None,
    ) -> None:
        self._namespace = Namespace(namespace)
        self._transport, self._options, self._observer = transport, options, guarded(observer)
        self._flights, self._past = Flights(ThreadLatch), Queue(ThreadLatch)
        most = options.read_timeout_seconds + options.probe_timeout_seconds
        self._reads = ReadThrough(Surroundings(self._flights, self._past, self._observer, cache_seconds=most))
        self._places = Places(options.bypass_concurrency)
        self._workers: ThreadPoolExecutor | None = None
        _clients.add(self)

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
    ) -> "CacheAside":
        """A client of a primary endpoint. Nothing is sent until it is used.

        Args:
            host: name of the primary endpoint.
            port: default 6379.
            auth_token: the token, or what reads it; read anew when the server refuses it. `Credentials` for a user
                of role-based access, whose tokens expire. Default None: no AUTH.
            tls: True verifies certificate and host name by the system's roots (SSL_CERT_FILE); or a context of your
                own; False is plain text. Default True.
            is_replayed: asks the application whether its relay has repeated the deletions that a failover to this
                replication id may have lost; policies with `fail_closed` need it. Default None.
            namespace: with "shop" the key "product:42" is "shop:product:42" on the server, for reads and deletions;
                the application and its outbox know only "product:42", so a relay's client needs the same namespace.
                Default "": none.
            options: timeouts and limits.
            observer: told about every read, load and failure. Default None.
        """
        link = Link(
            Server.of(host, port, auth_token, tls, options),
            breaker=Breaker(options.probe_interval_seconds, options.probe_timeout_seconds),
            trust=Trust(is_replayed),
            background=options.background,
            observer=guarded(observer),
        )
        return cls(link, namespace=namespace, options=options, observer=observer)

    def get_or_load(self, key: str, load: Callable[[*Ts], T | None], *args: *Ts, policy: Policy[T]) -> Result[T]:
        """The value of a key: from the cache, or from `load(*args)`, which reads the source of truth.

        `load` begins its transaction when it is called, on the primary and not on a replica, and returns None where
        the source has nothing. Give it what it needs as arguments, as in `get_or_load("product:42", select, 42, ...)`:
        a closure would see what its variables are when it runs. So only loads with arguments run in the background,
        of policies that allow it.

        Raises:
            TypeError, ValueError: the key is no str, or has more than 65,535 bytes; the loader is asynchronous.
            TooManyLoadsError: the cache is unavailable and too many loads go past it.
            Exception: whatever `load` raises, unless the policy allows a stale value in its place.
        """
        started, full = time.monotonic(), self._namespace.full(key)
        behind = policy.background and bool(args) and self._options.background
        steps = self._reads.get(full, policy, behind=behind)
        result: Result[T] = self._drive(steps, lambda _: {full: _loaded(load(*args))})
        self._observer.on_event(policy.name, result.served, time.monotonic() - started)
        return result

    def get_many_or_load(
        self,
        keys: Iterable[str],
        load: Callable[[Sequence[str], *Ts], Mapping[str, T | None]],
        *args: *Ts,
        policy: Policy[T],
    ) -> dict[str, Result[T]]:
        """The values of many keys: one round trip, and one call of `load(missing, *args)` with the missing keys."""

        def load_many(missing: Sequence[str]) -> Mapping[str, T | None]:
            return self._namespace.by_full_key(_loaded(load(self._namespace.names(missing), *args)))

        started = time.monotonic()
        behind = policy.background and bool(args) and self._options.background
        steps = self._reads.get_many(self._namespace.full_keys(keys), policy, behind=behind)
        results: dict[str, Result[T]] = self._drive(steps, load_many)
        for result in results.values():
            self._observer.on_event(policy.name, result.served, time.monotonic() - started)
        return self._namespace.by_name(results)

    def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Invalidation:
        """Delete the keys, after the write was committed; this also refuses every fill whose load began before.

        Never raises for a failure of the cache: look at the outcome, and have a `Relay` repeat what is pending.

        Raises:
            TypeError, ValueError: a key is no str, or has more than 65,535 bytes; no key is deleted then.
        """
        started = time.monotonic()
        full = tuple(self._namespace.full_keys(keys))
        steps = invalidate(full, replicas, deadline_seconds=self._options.invalidation_seconds)
        outcome: Invalidation = self._drive(steps)
        event = Event.CONFIRMED if outcome.confirmed else Event.PENDING
        self._observer.on_event("", event, time.monotonic() - started)
        return outcome if full == keys else replace(outcome, keys=keys)

    def cached(self, template: str, *, policy: Policy[T]) -> Callable[[Callable[P, T | None]], Cached[P, T | None]]:
        """Decorate a function so that its results are cached under keys made of its arguments: `"product:{id}"`."""

        def decorate(function: Callable[P, T | None]) -> Cached[P, T | None]:
            def read(key: str, load: Callable[..., T | None], *args: Any) -> T | None:
                return self.get_or_load(key, load, *args, policy=policy).value

            return Cached(template, function, read, self.invalidate)

        return decorate

    def replication_id(self) -> str:
        """The replication history that the primary serves; it changes with every failover and restart.

        Raises:
            CacheUnavailableError: the primary does not answer.
        """
        replication_id: str = self._drive(identify(self._options.invalidation_seconds))
        return replication_id

    def available(self) -> bool:
        """Whether the primary answers now, for a readiness check; takes two read timeouts at most, once connected."""
        try:
            self._drive(identify(2 * self._options.read_timeout_seconds))
        except CacheUnavailableError:
            return False
        return True

    def close(self) -> None:
        """Let background work end, and close the calling thread's connection."""
        if self._workers is not None:
            self._workers.shutdown()
        self._transport.close()

    def after_fork(self) -> None:
        """In the child: forget what the parent's threads were doing. Called by itself."""
        self._transport.after_fork()
        self._flights.forget()
        self._past.forget()
        self._places = Places(self._options.bypass_concurrency)
        self._workers = None

    def _drive(self, steps: Steps[Any], load: LoadMany[Any] | None = None, raised: BaseException | None = None) -> Any:
        """Do what the protocol asks, to its end. Whatever is raised here, at whatever instruction, it is told.

        It gives back its leases then, and decides what becomes of the error.
        """
        try:
            while True:
                try:
                    step = steps.send(None) if raised is None else steps.throw(raised)
                    raised = None
                    while True:
                        if isinstance(step, RoundTrip):
                            step = steps.send(self._transport.execute(step))
                        else:
                            step = steps.send(self._perform(step, load))
                except BaseException as error:
                    if steps.gi_frame is None:  # type: ignore[attr-defined]  # it has ended
                        if isinstance(error, StopIteration):
                            return error.value
                        raise
                    raised = error
        except BaseException as error:
            if steps.gi_frame is None:  # type: ignore[attr-defined]
                raise
            return self._drive(steps, load, error)  # it came between the two attempts

    def _perform(self, step: Step, load: LoadMany[Any] | None) -> Any:
        match step:
            case Load() if load is not None:
                return self._load_limited(load, step.keys) if step.limited else load(step.keys)
            case Pause():
                return time.sleep(step.seconds)
            case Join():
                return step.latch.wait(step.timeout_seconds)
            case Background():
                return self._behind(step, load)
            case Deliver():
                return self._transport.deliver(step)
        raise AssertionError(step)

    def _load_limited(self, load: LoadMany[Any], keys: Sequence[str]) -> Mapping[str, Any]:
        places, ticket = self._places, object()
        try:
            if not places.take(ticket, self._options.bypass_wait_seconds):
                raise TooManyLoadsError(self._options.retry_after_seconds)
            return load(keys)
        finally:
            places.give_back(ticket)

    def _behind(self, step: Background, load: LoadMany[Any] | None) -> Any:
        if self._workers is None:
            self._workers = ThreadPoolExecutor(self._options.background_workers, "cache-background")
        try:
            future = self._workers.submit(self._drive, step.steps, load)
        except RuntimeError:  # no thread can start, or the client is closed
            return self._drive(step.steps, load)
        wait((future,), step.wait_seconds)
        if future.done():
            return future.result()
        future.add_done_callback(_report)
        return None


def _loaded(value: R) -> R:
    """What a loader returned, which is to be the value itself.

    Raises:
        TypeError: the loader is asynchronous.
    """
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError("the loader of a CacheAside is a plain function; for `async def` use AsyncCacheAside")
    return value


def _report(future: Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log_once(f"background {type(error)}", "a load in the background failed", error)


_clients: weakref.WeakSet[CacheAside] = weakref.WeakSet()


def _after_fork() -> None:
    for client in tuple(_clients):
        client.after_fork()


os.register_at_fork(after_in_child=_after_fork)
