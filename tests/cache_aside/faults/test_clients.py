"""What a client does beside answering: threads, forks, background work, servers that answer with errors."""

import dataclasses
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from cache_aside import CacheAside, LoadUnavailableError, Options, Policy, Result, Served
from faults.proxy import Fault, FaultProxy
from local.engines import Valkey
from tests.cache_aside.conftest import tls_of
from tests.cache_aside.faults.conftest import Connect

NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)
KEY = "number:1"


class Refusing(socketserver.StreamRequestHandler):
    """A server that answers everything with the same error."""

    answer = b""

    def handle(self) -> None:
        while self.rfile.readline():
            self.wfile.write(self.answer)


@pytest.fixture(
    params=[b"-LOADING Valkey is loading the dataset in memory\r\n", b"-MASTERDOWN no\r\n", b"nonsense\r\n"]
)
def refusing_port(request: pytest.FixtureRequest) -> Iterator[int]:
    handler = type("Handler", (Refusing,), {"answer": request.param})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_server_that_answers_with_errors_is_bypassed(refusing_port: int) -> None:
    cache = CacheAside.connect("127.0.0.1", refusing_port, tls=False, options=Options(invalidation_seconds=0.1))
    assert [cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served for _ in range(3)] == [Served.BYPASS] * 3
    assert cache.invalidate(KEY).pending
    cache.close()


@pytest.mark.engines
def test_key_of_another_type_is_bypassed_and_the_circuit_stays_closed(connect: Connect, operator: redis.Redis) -> None:
    operator.rpush(KEY, "a list")
    cache = connect()
    assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
    assert cache.get_or_load("number:2", lambda: 2, policy=NUMBER).served is Served.MISS


@pytest.mark.engines
def test_connections_are_no_more_than_threads_or_the_limit(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect(options=Options(connections=8, connect_timeout_seconds=5, read_timeout_seconds=5))
    barrier = threading.Barrier(8)

    def read(number: int) -> None:
        barrier.wait(10)
        for _ in range(20):
            cache.get_or_load(f"number:{number}", lambda: number, policy=NUMBER)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read, range(8)))
    assert proxy.accepted <= 8


@pytest.mark.engines
@pytest.mark.usefixtures("operator")
def test_forked_child_does_not_share_a_connection_with_its_parent(valkey: Valkey) -> None:
    cache = CacheAside.connect("localhost", valkey.port, auth_token=valkey.auth_token, tls=tls_of(valkey))
    cache.get_or_load(KEY, lambda: 1, policy=NUMBER)
    child = os.fork()
    if child == 0:
        values = {cache.get_or_load(KEY, lambda: 2, policy=NUMBER).value for _ in range(200)}
        os._exit(0 if values == {1} else 1)
    assert {cache.get_or_load(KEY, lambda: 2, policy=NUMBER).value for _ in range(200)} == {1}
    assert os.waitpid(child, 0)[1] == 0


BACKGROUND = Options(background=True, probe_interval_seconds=0.05)
REFRESHED = Policy(name="refreshed", value_type=int, ttl_seconds=60, early_refresh_beta=1e9, background=True)


@pytest.mark.engines
def test_early_refresh_in_the_background_keeps_no_reader_waiting(connect: Connect) -> None:
    cache = connect(options=BACKGROUND)
    cache.get_or_load(KEY, lambda: 1, policy=NUMBER)
    release = threading.Event()

    def slow(value: int) -> int:
        release.wait(10)
        return value

    assert cache.get_or_load(KEY, slow, 2, policy=REFRESHED).value == 1
    assert cache.get_or_load(KEY, slow, 2, policy=REFRESHED).value == 1
    release.set()
    while cache.get_or_load(KEY, slow, 2, policy=NUMBER).value == 1:
        time.sleep(0.01)


@pytest.mark.engines
def test_reader_leaves_its_own_slow_load_at_the_soft_timeout(connect: Connect, operator: redis.Redis) -> None:
    cache = connect(options=BACKGROUND)
    soft = Policy(
        name="soft",
        value_type=int,
        ttl_seconds=60,
        stale_if_error_seconds=60,
        soft_timeout_seconds=0.02,
        background=True,
    )
    operator.set(KEY, soft.codec.encode(KEY, 1, expires=time.time() - 1, load_seconds=0), px=60_000)
    release = threading.Event()

    def slow(value: int) -> int:
        release.wait(10)
        return value

    result = cache.get_or_load(KEY, slow, 2, policy=soft)
    assert (result.value, result.served) == (1, Served.STALE)
    release.set()
    while cache.get_or_load(KEY, slow, 2, policy=soft).value == 1:
        time.sleep(0.01)


@pytest.mark.engines
def test_failure_in_the_background_reaches_the_reader_only_while_it_waits(
    connect: Connect, operator: redis.Redis
) -> None:
    cache = connect(options=BACKGROUND)
    soft = Policy(
        name="soft", value_type=int, ttl_seconds=60, stale_if_error_seconds=60, soft_timeout_seconds=5, background=True
    )
    operator.set(KEY, soft.codec.encode(KEY, 1, expires=time.time() - 1, load_seconds=0), px=60_000)

    def failing(_: int) -> int:
        raise LoadUnavailableError

    def wrong(_: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.get_or_load(KEY, wrong, 2, policy=soft)
    assert cache.get_or_load(KEY, failing, 2, policy=soft).served is Served.STALE


@pytest.mark.engines
def test_probe_in_the_background_closes_the_circuit_and_no_reader_probes(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect(options=BACKGROUND)
    proxy.inject(Fault.REFUSED)
    assert cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS
    proxy.inject(Fault.NONE)
    while cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served is Served.BYPASS:
        time.sleep(0.01)


@pytest.mark.engines
@pytest.mark.usefixtures("operator")
def test_background_load_has_the_arguments_of_its_own_call_and_a_closure_stays_in_the_foreground(
    connect: Connect, operator: redis.Redis
) -> None:
    cache = connect(options=BACKGROUND)
    texts = Policy(name="text", value_type=str, ttl_seconds=60, early_refresh_beta=1e9, background=True)
    for _ in range(4):
        for number in range(25):
            cache.get_or_load(f"given:{number}", lambda given: f"given:{given}", number, policy=texts)
            cache.get_or_load(f"closed:{number}", lambda: f"closed:{number}", policy=texts)  # noqa: B023
    keys = [f"{kind}:{number}" for kind in ("given", "closed") for number in range(25)]
    cached: list[bytes | None] = [operator.get(key) for key in keys]  # type: ignore[misc]
    entries = [texts.codec.read(key, raw, time.time(), lambda: 0.0) for key, raw in zip(keys, cached, strict=True)]
    assert [entry.value for entry in entries] == keys


@pytest.mark.engines
def test_policy_that_does_not_allow_it_loads_nothing_in_the_background(connect: Connect) -> None:
    cache = connect(options=BACKGROUND)
    foreground = dataclasses.replace(REFRESHED, background=False)
    cache.get_or_load(KEY, lambda value: value, 1, policy=foreground)
    assert cache.get_or_load(KEY, lambda value: value, 2, policy=foreground) == Result(2, Served.MISS)
