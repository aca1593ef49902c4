"""What readers lose, and the database has to bear, while the cache, the network or the database is slow or broken."""

import asyncio
import dataclasses
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import hiredis
import msgspec
import pytest
import redis

from cache_aside import AsyncCacheAside, CacheAside, EmbeddedMetrics, Options, Policy, Result, Served
from faults.fake_server import INFO, FakeServer, packed, typed
from faults.proxy import Fault, FaultProxy
from faults.replication import client_of
from local.engines import Valkey
from tests.cache_aside.conftest import AUTH_TOKEN, tls_of
from tests.cache_aside.faults.conftest import QUICK, Connect
from tests.cache_aside.harness import Cache, OnLoop

NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)
PATIENT = Options(connect_timeout_seconds=5, read_timeout_seconds=5)
KEY = "number:1"


async def one() -> int:
    return 1


class Scripted(socketserver.BaseRequestHandler):
    """Answers each kind of command with the same bytes every time, and INFO as a primary does unless told otherwise."""

    answers: ClassVar[dict[bytes, bytes]] = {}
    info = packed(INFO % (b"master", 0, b"a" * 40))

    def handle(self) -> None:
        reader = hiredis.Reader()
        while data := self.request.recv(65536):
            reader.feed(data)
            while (command := reader.gets()) is not False:
                self.answer(command)

    def answer(self, command: list[bytes]) -> None:
        """One reply."""
        self.request.sendall(self.answers.get(command[0], self.info if command[0] == b"INFO" else b":1\r\n"))


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """The port of a server that handles connections so."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(params=["sync", "async"])
def reach(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Cache]]:
    """Make a client of a port without TLS."""
    made: list[Cache] = []

    def make(port: int) -> Cache:
        options = Options(connect_timeout_seconds=5, read_timeout_seconds=5, invalidation_seconds=0.5)
        sync = request.param == "sync"
        client = CacheAside if sync else AsyncCacheAside

        def connect() -> CacheAside | AsyncCacheAside:
            return client.connect("127.0.0.1", port, tls=False, options=options)

        made.append(connect() if sync else OnLoop(connect))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for cache in made:
        cache.close()


def test_server_that_says_odd_things_about_itself_is_bypassed_and_raises_nothing(
    reach: Callable[[int], Cache],
) -> None:
    odd = type("Odd", (Scripted,), {"answers": {b"GET": b"$-1\r\n"}, "info": b"$4\r\nwhat\r\n"})
    with serving(odd) as port:
        cache = reach(port)
        assert {cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served for _ in range(3)} == {Served.BYPASS}
        assert cache.invalidate(KEY).pending


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (b"GET", b":5\r\n"),
        (b"GET", b"*1\r\n:1\r\n"),
        (b"GET", b"*0\r\n"),
        (b"SET", b":1\r\n"),
        (b"EVAL", b"$1\r\n1\r\n"),
        (b"MGET", b"*0\r\n"),
        (b"MGET", b"*-1\r\n"),
        (b"MGET", b":5\r\n"),
        (b"MGET", b"*1\r\n$-1\r\n"),
        (b"MGET", b"*2\r\n:1\r\n:2\r\n"),
        (b"MGET", b"$3\r\nall\r\n"),
        (b"DEL", b"$2\r\nOK\r\n"),
        (b"DEL", b"$-1\r\n"),
    ],
)
def test_reply_of_a_kind_that_the_command_does_not_have_is_a_failed_connection_and_no_error(
    reach: Callable[[int], Cache], command: bytes, reply: bytes
) -> None:
    usual = {b"GET": b"$-1\r\n", b"SET": b"$-1\r\n", b"MGET": b"*2\r\n$-1\r\n$-1\r\n"}
    with serving(type("Odd", (Scripted,), {"answers": usual | {command: reply}})) as port:
        cache = reach(port)
        one = cache.get_or_load(KEY, lambda: 1, policy=NUMBER)
        many = cache.get_many_or_load([KEY, "number:2"], lambda missing: dict.fromkeys(missing, 1), policy=NUMBER)
        assert [one.value, *(result.value for result in many.values())] == [1, 1, 1]
        assert (one.served is Served.BYPASS) == (command in (b"GET", b"SET"))
        assert cache.invalidate(KEY).confirmed == (command != b"DEL")


def test_reply_to_nothing_that_comes_later_is_not_taken_for_the_answer_to_the_next_question(
    reach: Callable[[int], Cache],
) -> None:
    right, wrong = (
        packed(NUMBER.codec.encode(KEY, value, expires=time.time() + 60, load_seconds=0.01)) for value in (1, 2)
    )
    connections = []

    class Babbling(Scripted):
        answers: ClassVar = {b"GET": right}

        def setup(self) -> None:
            connections.append(self.request)

    with serving(Babbling) as port:
        cache = reach(port)
        for _ in range(3):
            assert cache.get_or_load(KEY, lambda: 3, policy=NUMBER) == Result(1, Served.HIT)
            connections[-1].sendall(wrong)
        assert len(connections) == 3


@pytest.mark.engines
def test_probe_that_fails_in_any_way_is_followed_by_another(
    connect: Connect, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = connect(options=QUICK)
    proxy.inject(Fault.REFUSED)
    assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
    with monkeypatch.context() as broken:
        broken.setattr("cache_aside.connection.Identity.parse", lambda info: 1 / 0)
        proxy.inject(Fault.NONE)
        ends = time.monotonic() + 0.3
        while time.monotonic() < ends:
            assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
    while cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS:
        time.sleep(0.01)


@pytest.mark.engines
@pytest.mark.usefixtures("operator")
def test_circuit_closes_though_no_thread_can_start(
    valkey: Valkey, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(background=True, probe_interval_seconds=0.05, probe_timeout_seconds=1)
    cache = CacheAside.connect("localhost", proxy.port, auth_token=AUTH_TOKEN, tls=tls_of(valkey), options=options)
    cache.get_or_load(KEY, lambda: 1, policy=NUMBER)
    proxy.inject(Fault.REFUSED)
    assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
    proxy.inject(Fault.NONE)
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "cache-probe":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    while cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS:
        time.sleep(0.01)


@pytest.mark.engines
@pytest.mark.usefixtures("operator")
def test_async_client_outlives_its_event_loop(valkey: Valkey) -> None:
    cache = AsyncCacheAside.connect(
        "localhost", valkey.port, auth_token=AUTH_TOKEN, tls=tls_of(valkey), options=PATIENT
    )

    async def read() -> Served:
        return (await cache.get_or_load(KEY, one, policy=NUMBER)).served

    async def invalidate() -> bool:
        return (await cache.invalidate(KEY)).confirmed

    assert [asyncio.run(read()) for _ in range(4)] == [Served.MISS] + [Served.HIT] * 3
    assert asyncio.run(invalidate())


@pytest.mark.engines
def test_async_client_keeps_no_connection_of_a_loop_that_has_ended(valkey: Valkey, operator: redis.Redis) -> None:
    cache = AsyncCacheAside.connect(
        "localhost", valkey.port, auth_token=AUTH_TOKEN, tls=tls_of(valkey), options=PATIENT
    )

    async def read() -> Served:
        return (await cache.get_or_load(KEY, one, policy=NUMBER)).served

    asyncio.run(read())
    before = len(operator.client_list())
    for _ in range(20):
        asyncio.run(read())
    while len(operator.client_list()) > before + 1:  # the server notices a moment later
        time.sleep(0.01)


@pytest.mark.engines
@pytest.mark.usefixtures("operator")
def test_deletions_at_once_open_no_more_connections_than_allowed(valkey: Valkey, proxy: FaultProxy) -> None:
    options = Options(connect_timeout_seconds=5, read_timeout_seconds=5, invalidation_seconds=20, connections=16)

    async def crowd() -> None:
        cache = AsyncCacheAside.connect(
            "localhost", proxy.port, auth_token=AUTH_TOKEN, tls=tls_of(valkey), options=options
        )
        outcomes = await asyncio.gather(*(cache.invalidate(f"number:{number}") for number in range(500)))
        assert all(outcome.confirmed for outcome in outcomes)
        await cache.close()

    asyncio.run(crowd())
    assert proxy.accepted <= 16


@pytest.mark.engines
def test_key_of_another_type_in_a_batch_keeps_no_lease_of_the_others(connect: Connect, operator: redis.Redis) -> None:
    operator.rpush("number:0", "a list")
    keys = [f"number:{number}" for number in range(5)]
    cache = connect(options=PATIENT)
    found = cache.get_many_or_load(keys, lambda missing: dict.fromkeys(missing, 7), policy=NUMBER)
    assert [result.served for result in (found[key] for key in keys)] == [Served.BYPASS] + [Served.MISS] * 4
    again = cache.get_many_or_load(keys, lambda missing: dict.fromkeys(missing, 8), policy=NUMBER)
    assert [again[key].value for key in keys] == [8] + [7] * 4


def test_child_of_a_fork_hangs_on_no_lock_of_the_metrics() -> None:
    metrics = EmbeddedMetrics(interval_seconds=1000)
    with metrics._lock:
        child = os.fork()
        if child == 0:
            metrics.on_event("number", "HIT", 0.001)
            os._exit(0)
    ends = time.monotonic() + 10
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < ends:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended == (child, 0)


class Late(socketserver.BaseRequestHandler):
    """Executes everything at once and in order, but answers whoever takes a lease half a second late."""

    server: Any
    delays: ClassVar = {b"SET": 0.5}

    def handle(self) -> None:
        reader = hiredis.Reader()
        while data := self.request.recv(65536):
            reader.feed(data)
            while (command := reader.gets()) is not False:
                reply = self.server.state.execute(typed(*command))
                time.sleep(self.delays.get(command[0], 0.0))
                self.request.sendall(packed(reply))


class Remembering(FakeServer):
    """Knows whether there ever was a lease."""

    leased = False

    def _store(self, key: str, value: bytes, ttl_ms: int) -> None:
        self.leased |= value[:1] == b"L"
        super()._store(key, value, ttl_ms)


def test_late_reply_to_a_lease_leaves_no_lease_behind() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Late) as server:
        server.daemon_threads = True
        server.state = Remembering(time.monotonic)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        options = Options(probe_timeout_seconds=1)
        cache = CacheAside.connect("127.0.0.1", server.server_address[1], tls=False, options=options)
        assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
        assert server.state.leased, "the lease was taken"  # type: ignore[attr-defined]
        ends = time.monotonic() + 3
        while server.state.peek(KEY) is not None and time.monotonic() < ends:  # type: ignore[attr-defined]
            time.sleep(0.01)
        assert server.state.peek(KEY) is None, "and given back long before it ends"  # type: ignore[attr-defined]
        server.shutdown()


class Recorded:
    """A server that notes the name of each command."""

    def __init__(self, state: FakeServer, asked: list[str]) -> None:
        self._state, self._asked = state, asked

    def execute(self, command: Any) -> object:
        self._asked.append(str(command[0]))
        return self._state.execute(command)


class Slow(Late):
    """Takes 150 ms for everything."""

    delays: ClassVar = dict.fromkeys((b"GET", b"SET", b"EVAL"), 0.15)


def test_slow_cache_costs_a_read_no_more_than_one_timeout_and_one_probe() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        server.state = FakeServer(time.monotonic)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        cache = CacheAside.connect("127.0.0.1", server.server_address[1], tls=False)
        found = [cache.get_or_load(f"number:{number}", lambda: 1, policy=NUMBER).served for number in range(3)]
        assert found == [Served.BYPASS] * 3, "a lease would take the read past 250 ms"
        server.shutdown()


class SlowToLogIn(Slow):
    """And for logging in."""

    delays: ClassVar = {**Slow.delays, b"AUTH": 0.15, b"HELLO": 0.15}


@pytest.mark.parametrize("client", ["sync", "async"])
def test_connecting_and_the_first_round_trip_share_one_timeout(client: str) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), SlowToLogIn) as server:
        server.daemon_threads = True
        asked: list[str] = []
        state = FakeServer(time.monotonic)
        server.state = Recorded(state, asked)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        at = ("127.0.0.1", server.server_address[1])
        if client == "sync":
            served = (
                CacheAside.connect(*at, tls=False, auth_token="x").get_or_load(KEY, lambda: 1, policy=NUMBER).served
            )
        else:

            async def read() -> Served:
                async def load() -> int:
                    return 1

                cache = AsyncCacheAside.connect(*at, tls=False, auth_token="x")
                found = (await cache.get_or_load(KEY, load, policy=NUMBER)).served
                await cache.close()
                return found

            served = asyncio.run(read())
        assert served is Served.BYPASS
        assert "AUTH" in asked or "HELLO" in asked
        assert "SET" not in asked, "150 ms for each of the two, and none is left for a lease"
        server.shutdown()


@pytest.mark.engines
def test_one_late_reply_opens_no_circuit(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect(options=Options(connect_timeout_seconds=5, probe_timeout_seconds=5, probe_interval_seconds=1000))
    cache.get_or_load(KEY, lambda: 1, policy=NUMBER)
    proxy.hang_connections()
    assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
    assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.HIT


def test_name_server_that_hangs_costs_readers_and_deletions_their_own_timeouts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []

    def hang(*_: Any, **__: Any) -> Any:
        asked.append(time.monotonic())
        time.sleep(5)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    cache = CacheAside.connect("a-name-that-hangs", options=Options(invalidation_seconds=0.3))
    begin = time.monotonic()
    assert {cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served for _ in range(100)} == {Served.BYPASS}
    assert cache.invalidate(KEY).pending
    assert time.monotonic() - begin < 4, "less than one look-up takes"
    assert len(asked) == 1


@pytest.mark.engines
@pytest.mark.usefixtures("operator")
def test_load_slower_than_its_timeout_is_one_load_and_cached(valkey: Valkey) -> None:
    slow_policy = Policy(name="slow", value_type=int, ttl_seconds=60, early_refresh_beta=0, load_timeout_seconds=0.4)
    cache = CacheAside.connect("localhost", valkey.port, auth_token=AUTH_TOKEN, tls=tls_of(valkey), options=PATIENT)
    loads: list[int] = []

    def slow() -> int:
        loads.append(1)
        time.sleep(0.6)
        return 1

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: cache.get_or_load(KEY, slow, policy=slow_policy), range(16)))
    assert {result.value for result in found} == {1}
    assert len(loads) == 1
    assert cache.get_or_load(KEY, slow, policy=slow_policy).served is Served.HIT


@pytest.mark.engines
def test_batch_of_fresh_values_waits_for_no_refresh(connect: Connect) -> None:
    due = Policy(name="due", value_type=int, ttl_seconds=60, early_refresh_beta=1e9)
    keys = [f"number:{number}" for number in range(50)]
    cache = connect(options=PATIENT)
    cache.get_many_or_load(keys, lambda missing: dict.fromkeys(missing, 1), policy=due)

    def never(missing: object) -> dict[str, int | None]:
        raise AssertionError(missing)

    found = cache.get_many_or_load(keys, never, policy=due)
    assert {result.served for result in found.values()} == {Served.HIT}


def test_observer_that_fails_is_nobodys_problem() -> None:
    class Broken:
        def on_event(self, policy: str, event: str, seconds: float) -> None:
            raise ZeroDivisionError

    cache = CacheAside.connect("127.0.0.1", 1, tls=False, observer=Broken(), options=QUICK)
    assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
    assert cache.invalidate(KEY).pending


@pytest.mark.engines
def test_session_that_a_failover_lost_is_not_served_after_a_cancelled_read(
    valkey: Valkey, proxy: FaultProxy, operator: redis.Redis, tmp_path: Path
) -> None:
    promoted = Valkey(tmp_path, auth_token=AUTH_TOKEN, certificates=valkey.certificates)
    promoted.start()
    replayed = {operator.info("replication")["master_replid"]}
    session = dataclasses.replace(NUMBER, name="session", fail_closed=True)

    async def read_over_a_failover() -> Served:
        cache = AsyncCacheAside.connect(
            "localhost",
            proxy.port,
            auth_token=AUTH_TOKEN,
            tls=tls_of(valkey),
            is_replayed=replayed.__contains__,
            options=msgspec.structs.replace(PATIENT, connections=1),
        )
        await cache.get_or_load(KEY, one, policy=session)
        assert (await cache.get_or_load(KEY, one, policy=session)).served is Served.HIT
        proxy.inject(Fault.SLOW)
        reader = asyncio.create_task(cache.get_or_load(KEY, one, policy=session))
        await asyncio.sleep(0.1)
        reader.cancel()
        proxy.inject(Fault.NONE)
        proxy.retarget(promoted.port)
        served = (await cache.get_or_load(KEY, one, policy=session)).served
        await cache.close()
        return served

    try:
        with client_of(promoted) as other:
            other.set(KEY, NUMBER.codec.encode(KEY, 7, expires=time.time() + 60, load_seconds=0.01))
        assert asyncio.run(read_over_a_failover()) is Served.BYPASS
    finally:
        promoted.stop()
