"""What a broken cache costs: readers go on without it, writers are told, and recovery is noticed."""

import dataclasses
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from cache_aside import Options, Policy, Served, TooManyLoadsError
from faults.proxy import Fault, FaultProxy
from local.engines import Valkey
from tests.cache_aside.faults.conftest import QUICK, Connect
from tests.cache_aside.harness import Cache

pytestmark = pytest.mark.engines
KEY = "number:1"
NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)
BROKEN = [Fault.REFUSED, Fault.RESET, Fault.BLACKHOLE, Fault.SLOW]


class Counting:
    """An observer that counts."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()

    def on_event(self, policy: str, event: str, seconds: float) -> None:
        self.events[event] += 1


def read(cache: Cache, number: int = 1) -> Served:
    result = cache.get_or_load(KEY, lambda: number, policy=NUMBER)
    assert result.value is not None
    return result.served


def recover(cache: Cache) -> None:
    """Read until the cache is used again."""
    while read(cache) is Served.BYPASS:
        time.sleep(0.01)


@pytest.mark.parametrize("fault", BROKEN)
def test_reads_go_past_a_broken_cache_and_come_back_to_it(connect: Connect, proxy: FaultProxy, fault: Fault) -> None:
    cache = connect(options=QUICK)
    assert read(cache) is Served.MISS
    proxy.inject(fault)
    assert [read(cache) for _ in range(5)] == [Served.BYPASS] * 5
    proxy.inject(Fault.NONE)
    recover(cache)
    assert read(cache) is Served.HIT


@pytest.mark.parametrize("fault", BROKEN)
def test_client_that_starts_while_the_cache_is_broken_recovers(
    connect: Connect, proxy: FaultProxy, fault: Fault
) -> None:
    proxy.inject(fault)
    cache = connect(options=QUICK)
    assert read(cache) is Served.BYPASS
    proxy.inject(Fault.NONE)
    recover(cache)


def test_open_circuit_does_not_touch_the_network_between_probes(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect(options=Options(probe_interval_seconds=1000))
    proxy.inject(Fault.BLACKHOLE)
    read(cache)
    accepted = proxy.accepted
    assert {read(cache) for _ in range(100)} == {Served.BYPASS}
    assert proxy.accepted == accepted


def test_outage_is_counted_for_as_long_as_it_lasts(connect: Connect, proxy: FaultProxy) -> None:
    counted = Counting()
    cache = connect(options=QUICK, observer=counted)
    read(cache)
    assert counted.events["CACHE_ERROR"] == 0
    proxy.inject(Fault.REFUSED)
    for errors in (1, 2, 3):
        while counted.events["CACHE_ERROR"] < errors:
            assert read(cache) is Served.BYPASS
    proxy.inject(Fault.NONE)
    recover(cache)
    counted.events.clear()
    assert read(cache) is Served.HIT
    assert counted.events == {"HIT": 1}


def test_pause_of_writes_costs_one_reader_its_patience_and_no_hit_anything(
    connect: Connect, operator: redis.Redis
) -> None:
    counted = Counting()
    options = Options(read_timeout_seconds=0.5, probe_timeout_seconds=0.3, probe_interval_seconds=1)
    cache = connect(options=options, observer=counted)
    assert read(cache) is Served.MISS
    operator.client_pause(60_000, all=False)
    try:
        for number in range(2, 22):
            found = cache.get_or_load(f"number:{number}", lambda number=number: number, policy=NUMBER)  # type: ignore[misc]
            assert (found.value, found.served) == (number, Served.BYPASS)
            assert read(cache) is Served.HIT
        assert counted.events["CACHE_ERROR"] < 10, "a lease, and a probe a second"
    finally:
        operator.client_unpause()
    while cache.get_or_load("number:2", lambda: 2, policy=NUMBER).served is Served.BYPASS:
        time.sleep(0.01)


def test_connection_that_was_closed_while_idle_is_replaced_unnoticed(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect()
    read(cache)
    proxy.reset_connections()
    assert read(cache) is Served.HIT


def test_server_that_became_a_replica_is_bypassed(connect: Connect, operator: redis.Redis) -> None:
    cache = connect(options=QUICK)
    read(cache)
    operator.replicaof("127.0.0.1", 1)
    try:
        while read(cache) is not Served.BYPASS:
            time.sleep(0.01)
        assert cache.invalidate(KEY).pending
    finally:
        operator.replicaof("NO", "ONE")
    recover(cache)
    assert cache.invalidate(KEY).confirmed


def test_rotated_token_is_read_anew_and_no_read_notices(
    connect: Connect, operator: redis.Redis, valkey: Valkey
) -> None:
    tokens = [valkey.auth_token]
    reads: list[str] = []

    def current() -> str:
        reads.append(tokens[-1])
        return tokens[-1]

    cache = connect(auth_token=current)
    read(cache)
    tokens.append("the-token-after-the-rotation")
    operator.config_set("requirepass", tokens[-1])
    try:
        operator.client_kill_filter(skipme=True)
        assert [read(cache) for _ in range(5)] == [Served.HIT] * 5
        assert reads == tokens
    finally:
        operator.config_set("requirepass", valkey.auth_token)


def test_wrong_token_is_bypassed_and_read_again_by_each_probe(connect: Connect, valkey: Valkey) -> None:
    tokens = ["wrong"]
    cache = connect(auth_token=lambda: tokens[-1], options=QUICK)
    assert read(cache) is Served.BYPASS
    assert cache.invalidate(KEY).pending
    tokens.append(valkey.auth_token)
    recover(cache)


def test_server_with_an_unknown_certificate_gets_neither_token_nor_keys(connect: Connect) -> None:
    cache = connect(tls=True)
    assert read(cache) is Served.BYPASS
    assert "CERTIFICATE_VERIFY_FAILED" in cache.invalidate(KEY).reason.upper().replace(" ", "_")


def test_invalidation_gets_through_while_the_circuit_is_open(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect(options=Options(probe_interval_seconds=1000))
    read(cache)
    proxy.inject(Fault.RESET)
    assert read(cache) is Served.BYPASS
    proxy.inject(Fault.NONE)
    assert cache.invalidate(KEY).confirmed
    assert read(cache) is Served.BYPASS


def test_invalidation_leaves_a_connection_that_hangs(
    connect: Connect, proxy: FaultProxy, operator: redis.Redis
) -> None:
    cache = connect()
    read(cache)
    proxy.hang_connections()
    assert cache.invalidate(KEY).confirmed
    assert operator.get(KEY) is None


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.RESET, Fault.BLACKHOLE])
def test_invalidation_is_pending_while_the_cache_is_broken(connect: Connect, proxy: FaultProxy, fault: Fault) -> None:
    cache = connect(options=QUICK)
    read(cache)
    proxy.inject(fault)
    assert cache.invalidate(KEY).pending


def test_invalidation_outlasts_a_short_outage(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect(options=Options(invalidation_seconds=10))
    read(cache)
    proxy.inject(Fault.REFUSED)
    threading.Timer(0.3, proxy.inject, [Fault.NONE]).start()
    assert cache.invalidate(KEY).confirmed


def test_database_is_protected_by_a_limit_while_the_cache_is_broken(connect: Connect, proxy: FaultProxy) -> None:
    cache = connect(options=Options(bypass_concurrency=2, bypass_wait_seconds=0.01, probe_interval_seconds=1000))
    proxy.inject(Fault.REFUSED)
    read(cache)
    release, running = threading.Event(), threading.Semaphore(0)

    def slow() -> int:
        running.release()
        release.wait(10)
        return 1

    with ThreadPoolExecutor(2) as threads:
        loading = [
            threads.submit(lambda key=key: cache.get_or_load(key, slow, policy=NUMBER))  # type: ignore[misc]
            for key in ("number:2", "number:3")
        ]
        for _ in loading:
            running.acquire()
        with pytest.raises(TooManyLoadsError) as raised:
            read(cache)
        assert raised.value.retry_after_seconds == 1
        release.set()
        assert [future.result().served for future in loading] == [Served.BYPASS] * 2
    assert read(cache) is Served.BYPASS


def test_sessions_are_answered_by_the_database_until_the_server_is_known_to_be_replayed(connect: Connect) -> None:
    replayed: set[str] = set()
    session = dataclasses.replace(NUMBER, name="session", fail_closed=True)
    cache = connect(is_replayed=replayed.__contains__)
    assert read(cache) is Served.MISS
    assert cache.get_or_load(KEY, lambda: 1, policy=session).served is Served.BYPASS
    replayed.add(cache.replication_id())
    while cache.get_or_load(KEY, lambda: 1, policy=session).served is Served.BYPASS:
        time.sleep(0.01)
    assert cache.get_or_load(KEY, lambda: 2, policy=session).served is Served.HIT
