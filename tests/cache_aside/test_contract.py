"""What both clients promise about one key, on a fake and on a real server."""

import dataclasses
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cache_aside import LoadUnavailableError, Policy, Replicas, Result, Served
from cache_aside.envelope import State, new_lease, new_mark
from tests.cache_aside.harness import Bench, Product

KEY = "product:1"
CHAIR, STOOL = Product(1, "chair"), Product(1, "stool")
READERS = 20


PRODUCT = Policy(name="product", value_type=Product, ttl_seconds=60, early_refresh_beta=0)


def policy(**settings: Any) -> Policy[Product]:
    return dataclasses.replace(PRODUCT, **settings)


KEPT = policy(stale_if_error_seconds=60)


def chair() -> Product:
    return CHAIR


def stool() -> Product:
    return STOOL


def never() -> Product:
    raise AssertionError("a hit must not load")


def failing() -> Product:
    raise LoadUnavailableError("the database is down")


def put(bench: Bench, value: bytes, ttl_ms: int = 60_000) -> None:
    bench.command("SET", KEY, value, "PX", ttl_ms)


def put_expired(bench: Bench, rules: Policy[Product], seconds_ago: float = 1) -> None:
    put(bench, rules.codec.encode(KEY, CHAIR, expires=time.time() - seconds_ago, load_seconds=0.01))


def assert_marked(bench: Bench, rules: Policy[Product]) -> None:
    """No value is there, only a mark of a second at most that says so."""
    assert rules.codec.read(KEY, bench.command("GET", KEY), time.time(), lambda: 0.0).state is State.MARKED
    assert 0 < bench.command("PTTL", KEY) <= 1000


def test_first_read_loads_and_second_is_a_hit(bench: Bench) -> None:
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.MISS)
    assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(CHAIR, Served.HIT)


def test_miss_takes_three_round_trips_and_hit_one(bench: Bench) -> None:
    bench.cache.get_or_load(KEY, chair, policy=PRODUCT)
    assert bench.transport.trips == 3
    bench.cache.get_or_load(KEY, never, policy=PRODUCT)
    assert bench.transport.trips == 4


def test_value_lives_at_most_its_ttl_and_at_least_that_less_jitter(bench: Bench) -> None:
    bench.cache.get_or_load(KEY, chair, policy=policy(jitter=0.2))
    assert 47_000 < bench.command("PTTL", KEY) <= 60_000


def test_ttl_may_depend_on_the_value(bench: Bench) -> None:
    rules = policy(ttl_seconds=lambda product: float(product.id * 5))
    bench.cache.get_or_load(KEY, chair, policy=rules)
    assert bench.command("PTTL", KEY) <= 5_000


def test_value_whose_ttl_is_over_is_not_cached(bench: Bench) -> None:
    rules = policy(ttl_seconds=lambda _: -1.0)
    bench.cache.get_or_load(KEY, chair, policy=rules)
    assert_marked(bench, rules)


def test_absence_is_not_cached_by_default(bench: Bench) -> None:
    assert bench.cache.get_or_load(KEY, lambda: None, policy=PRODUCT) == Result(None, Served.MISS)
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.MISS)


def test_absence_is_cached_when_the_policy_says_so(bench: Bench) -> None:
    rules = policy(negative_ttl_seconds=5)
    bench.cache.get_or_load(KEY, lambda: None, policy=rules)
    assert bench.cache.get_or_load(KEY, never, policy=rules) == Result(None, Served.HIT)


def test_absence_is_not_kept_past_its_time_to_stand_in_for_a_failed_load(bench: Bench) -> None:
    rules = policy(negative_ttl_seconds=5, stale_if_error_seconds=3600)
    bench.cache.get_or_load(KEY, lambda: None, policy=rules)
    assert 0 < bench.command("PTTL", KEY) <= 5000


def test_too_large_value_is_returned_but_not_cached(bench: Bench) -> None:
    rules = policy(max_bytes=10)
    assert bench.cache.get_or_load(KEY, chair, policy=rules) == Result(CHAIR, Served.MISS)
    assert_marked(bench, rules)


def test_invalidation_deletes_the_key(bench: Bench) -> None:
    bench.cache.get_or_load(KEY, chair, policy=PRODUCT)
    assert bench.cache.invalidate(KEY, "product:2").confirmed
    assert bench.cache.get_or_load(KEY, stool, policy=PRODUCT) == Result(STOOL, Served.MISS)


def test_invalidation_of_nothing_is_confirmed(bench: Bench) -> None:
    assert bench.cache.invalidate().confirmed


def test_invalidation_on_every_replica_is_confirmed_when_there_is_none(bench: Bench) -> None:
    assert bench.cache.invalidate(KEY, replicas=Replicas.ALL).confirmed


def test_invalidation_is_pending_while_the_cache_cannot_be_reached(bench: Bench) -> None:
    bench.transport.cut = True
    outcome = bench.cache.invalidate(KEY)
    assert outcome.pending
    assert (outcome.keys, outcome.reason) == ((KEY,), "cut")


@pytest.mark.parametrize("rules", [PRODUCT, policy(max_bytes=10)], ids=["stored", "too large"])
def test_anybodys_del_refuses_the_fill_of_a_load_in_flight(bench: Bench, rules: Policy[Product]) -> None:
    def overtaken() -> Product:
        bench.command("DEL", KEY)
        return CHAIR

    assert bench.cache.get_or_load(KEY, overtaken, policy=rules) == Result(CHAIR, Served.MISS)
    assert bench.cache.get_or_load(KEY, stool, policy=rules) == Result(STOOL, Served.MISS)


def test_del_refuses_an_early_refresh_in_flight(bench: Bench) -> None:
    always = policy(early_refresh_beta=1e9)
    bench.cache.get_or_load(KEY, chair, policy=always)

    def overtaken() -> Product:
        bench.command("DEL", KEY)
        return CHAIR

    bench.cache.get_or_load(KEY, overtaken, policy=always)
    assert bench.command("GET", KEY) is None


def test_failed_load_gives_the_lease_back(bench: Bench) -> None:
    with pytest.raises(LoadUnavailableError):
        bench.cache.get_or_load(KEY, failing, policy=PRODUCT)
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.MISS)


def together(call: Callable[[], Any]) -> list[Any]:
    """Many readers at once."""
    with ThreadPoolExecutor(READERS) as threads:
        return [future.result() for future in [threads.submit(call) for _ in range(READERS)]]


def test_concurrent_readers_share_one_load(bench: Bench) -> None:
    loads: list[float] = []

    def slow() -> Product:
        loads.append(time.monotonic())
        time.sleep(0.2)
        return CHAIR

    results = together(lambda: bench.cache.get_or_load(KEY, slow, policy=PRODUCT))
    assert len(loads) == 1
    served = [result.served for result in results]
    assert served.count(Served.MISS) == 1
    assert set(served) <= {Served.MISS, Served.JOINED, Served.HIT}
    assert Served.JOINED in served


def test_readers_who_joined_a_load_half_way_do_not_use_its_value_when_it_was_overtaken(bench: Bench) -> None:
    begun, joined = threading.Event(), threading.Event()

    def overtaken() -> Product:
        begun.set()
        joined.wait()
        bench.command("DEL", KEY)
        return CHAIR

    with ThreadPoolExecutor(1) as leader:
        first = leader.submit(lambda: bench.cache.get_or_load(KEY, overtaken, policy=PRODUCT))
        begun.wait()
        threading.Timer(0.2, joined.set).start()
        others = together(lambda: bench.cache.get_or_load(KEY, stool, policy=PRODUCT))
        assert first.result() == Result(CHAIR, Served.MISS)
    assert {result.value for result in others} == {STOOL}


def test_readers_who_joined_a_load_that_failed_get_its_error(bench: Bench) -> None:
    loads: list[float] = []

    def slow_failure() -> Product:
        loads.append(time.monotonic())
        time.sleep(0.3)
        return failing()

    def read() -> Exception | None:
        try:
            bench.cache.get_or_load(KEY, slow_failure, policy=PRODUCT)
        except LoadUnavailableError as error:
            return error
        return None

    assert None not in together(read)
    assert len(loads) == 1


def test_reader_waits_for_the_load_of_another_process(bench: Bench) -> None:
    put(bench, new_lease())

    def fill_once_it_waits() -> None:
        while bench.transport.trips < 2:
            time.sleep(0.005)
        put(bench, PRODUCT.codec.encode(KEY, STOOL, expires=time.time() + 60, load_seconds=0))

    with ThreadPoolExecutor(1) as other:
        filled = other.submit(fill_once_it_waits)
        assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(STOOL, Served.JOINED)
        filled.result()


def test_reader_who_waited_long_enough_loads_without_filling(bench: Bench) -> None:
    lease = new_lease()
    put(bench, lease)
    rules = policy(wait_timeout_seconds=0.05)
    assert bench.cache.get_or_load(KEY, chair, policy=rules) == Result(CHAIR, Served.BYPASS)
    assert bench.command("GET", KEY) == lease


def test_crashed_loader_delays_nobody_beyond_its_lease(bench: Bench) -> None:
    put(bench, new_lease(), ttl_ms=100)
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.MISS)


@pytest.mark.parametrize(
    "content",
    [b"", b"L", b"V", b"{}", PRODUCT.codec.encode(KEY, CHAIR, expires=1e12, load_seconds=1) + b"!"],
    ids=["empty", "half a lease", "half a value", "json", "a byte too many"],
)
def test_bytes_that_are_no_envelope_are_replaced(bench: Bench, content: bytes) -> None:
    put(bench, content)
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.MISS)
    assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(CHAIR, Served.HIT)


def test_new_release_never_reads_an_old_shape(bench: Bench) -> None:
    bench.cache.get_or_load(KEY, chair, policy=PRODUCT)
    assert bench.cache.get_or_load(KEY, stool, policy=policy(schema_version=2)) == Result(STOOL, Served.MISS)


def test_values_of_two_releases_stand_side_by_side_and_one_del_removes_both(bench: Bench) -> None:
    releases = PRODUCT, policy(schema_version=2)
    for release in releases:
        assert bench.cache.get_or_load(KEY, chair, policy=release) == Result(CHAIR, Served.MISS)
    for release in releases * 2:
        assert bench.cache.get_or_load(KEY, never, policy=release) == Result(CHAIR, Served.HIT)
    bench.command("DEL", KEY)
    for release in releases:
        assert bench.cache.get_or_load(KEY, stool, policy=release) == Result(STOOL, Served.MISS)


@pytest.mark.parametrize("cut", [False, True], ids=["in the cache", "past the cache"])
def test_readers_of_two_shapes_of_a_key_in_one_process_share_no_load(bench: Bench, cut: bool) -> None:
    bench.transport.cut = cut
    names = Policy[str](name="name", value_type=str, ttl_seconds=60)
    begun, together_with = threading.Event(), threading.Event()

    def slow() -> Product:
        begun.set()
        together_with.wait(0.3)
        return CHAIR

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: bench.cache.get_or_load(KEY, slow, policy=PRODUCT))
        begun.wait(10)
        second = threads.submit(lambda: bench.cache.get_or_load(KEY, lambda: "chair", policy=names))
        assert (first.result().value, second.result().value) == (CHAIR, "chair")


def test_del_while_one_release_loads_removes_the_value_of_the_other(bench: Bench) -> None:
    bench.cache.get_or_load(KEY, chair, policy=PRODUCT)

    def overtaken() -> Product:
        assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(CHAIR, Served.HIT)
        bench.command("DEL", KEY)
        return CHAIR

    bench.cache.get_or_load(KEY, overtaken, policy=policy(schema_version=2))
    assert bench.command("GET", KEY) is None


def test_load_that_fails_in_one_release_leaves_the_value_of_the_other(bench: Bench) -> None:
    bench.cache.get_or_load(KEY, chair, policy=PRODUCT)
    with pytest.raises(LoadUnavailableError):
        bench.cache.get_or_load(KEY, failing, policy=policy(schema_version=2))
    assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(CHAIR, Served.HIT)
    assert bench.command("PTTL", KEY) <= 60_000


@pytest.mark.parametrize("seconds_ago", [1, -0.2], ids=["expired", "not yet expired"])
def test_load_that_fails_in_one_release_leaves_the_stand_in_of_the_other(bench: Bench, seconds_ago: float) -> None:
    put_expired(bench, KEPT, seconds_ago)
    with pytest.raises(LoadUnavailableError):
        bench.cache.get_or_load(KEY, failing, policy=policy(schema_version=2, stale_if_error_seconds=60))
    assert 50_000 < bench.command("PTTL", KEY) <= 60_200
    time.sleep(max(0, -seconds_ago))
    assert bench.cache.get_or_load(KEY, failing, policy=KEPT) == Result(CHAIR, Served.STALE)


@pytest.mark.parametrize(
    ("uncached", "value"),
    [({"ttl_seconds": lambda _: 0}, CHAIR), ({"max_bytes": 1}, CHAIR), ({}, None), ({"value_type": str}, CHAIR)],
    ids=["ttl function returns 0", "too large", "none", "another type"],
)
def test_release_that_caches_nothing_leaves_the_value_of_the_other(
    bench: Bench, uncached: dict[str, Any], value: Product | None
) -> None:
    bench.cache.get_or_load(KEY, chair, policy=KEPT)
    other = policy(schema_version=2, stale_if_error_seconds=60, **uncached)
    for _ in range(2):
        assert bench.cache.get_or_load(KEY, lambda: value, policy=other) == Result(value, Served.MISS)
        assert bench.cache.get_or_load(KEY, never, policy=KEPT) == Result(CHAIR, Served.HIT)
    assert 60_000 < bench.command("PTTL", KEY) <= 120_000, "and its stand-in"
    bench.command("DEL", KEY)
    assert bench.cache.get_or_load(KEY, stool, policy=KEPT) == Result(STOOL, Served.MISS)


def test_release_that_no_longer_caches_a_value_forgets_its_own_and_leaves_the_other(bench: Bench) -> None:
    refreshing = policy(schema_version=2, early_refresh_beta=1e12)
    for rules in (PRODUCT, refreshing):
        bench.cache.get_or_load(KEY, chair, policy=rules)
    over = dataclasses.replace(refreshing, ttl_seconds=lambda _: 0)
    assert bench.cache.get_or_load(KEY, stool, policy=over) == Result(STOOL, Served.MISS)
    assert bench.cache.get_or_load(KEY, stool, policy=policy(schema_version=2)) == Result(STOOL, Served.MISS)
    assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(CHAIR, Served.HIT)


def test_two_shapes_at_most_and_no_more_bytes_than_one_may_have(bench: Bench) -> None:
    one_size = policy(max_bytes=len(PRODUCT.codec.encode(KEY, CHAIR, expires=time.time(), load_seconds=0)))
    for version in (1, 2, 3):
        bench.cache.get_or_load(KEY, chair, policy=policy(schema_version=version))
    for version in (2, 3):
        bench.cache.get_or_load(KEY, never, policy=policy(schema_version=version))
    bench.cache.get_or_load(KEY, chair, policy=one_size)
    assert bench.cache.get_or_load(KEY, never, policy=one_size) == Result(CHAIR, Served.HIT)
    assert bench.cache.get_or_load(KEY, stool, policy=policy(schema_version=3)) == Result(STOOL, Served.MISS)


def test_value_of_another_release_is_not_kept_past_its_time(bench: Bench) -> None:
    bench.cache.get_or_load(KEY, chair, policy=policy(ttl_seconds=0.1, stale_if_error_seconds=60))
    time.sleep(0.15)
    bench.cache.get_or_load(KEY, chair, policy=policy(schema_version=2))
    entry = KEPT.codec.read(KEY, bench.command("GET", KEY), time.time(), lambda: 0.0)
    assert (entry.state, entry.beside) == (State.OTHER_SHAPE, bench.command("GET", KEY)[-len(entry.beside) :])


def test_expired_value_stands_in_for_a_load_that_fails(bench: Bench) -> None:
    put_expired(bench, KEPT)
    assert bench.cache.get_or_load(KEY, failing, policy=KEPT) == Result(CHAIR, Served.STALE)
    while (found := bench.cache.get_or_load(KEY, stool, policy=KEPT)).served is Served.STALE:
        time.sleep(0.05)
    assert found == Result(STOOL, Served.MISS)


def test_stale_values_are_served_at_once_for_a_while_after_a_load_has_failed(bench: Bench) -> None:
    put_expired(bench, KEPT)
    loads: list[float] = []

    def fail() -> Product:
        loads.append(time.monotonic())
        return failing()

    assert {bench.cache.get_or_load(KEY, fail, policy=KEPT).served for _ in range(20)} == {Served.STALE}
    assert len(loads) == 1


def test_readers_of_a_value_that_is_not_cached_load_for_themselves_until_the_mark_is_gone(bench: Bench) -> None:
    put(bench, new_mark())
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.MISS)
    assert bench.cache.get_or_load(KEY, stool, policy=PRODUCT) == Result(STOOL, Served.MISS)
    assert bench.cache.invalidate(KEY).confirmed
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.MISS)
    assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(CHAIR, Served.HIT)


@pytest.mark.parametrize(
    "rules",
    [policy(ttl_seconds=lambda _: 1 / 0), policy(value_type=str), policy(ttl_seconds=float("inf"))],
    ids=["ttl function raises", "value of another type", "endless ttl"],
)
def test_value_that_was_loaded_is_returned_whatever_keeps_it_from_being_cached(
    bench: Bench, rules: Policy[Product]
) -> None:
    assert bench.cache.get_or_load(KEY, chair, policy=rules) == Result(CHAIR, Served.MISS)


@pytest.mark.parametrize("value", [float("nan"), "text"], ids=["NaN", "another type"])
def test_value_that_no_hit_could_return_is_told_once(
    bench: Bench, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = Policy[Any](name=f"{bench.cache} {value}", value_type=float, ttl_seconds=60)
    for _ in range(3):
        assert bench.cache.get_or_load(KEY, lambda: value, policy=numbers) == Result(value, Served.MISS)
    (record,) = [record for record in caplog.records if numbers.name in record.getMessage()]
    assert f"cannot cache {KEY!r}" in record.getMessage()


def test_early_refresh_sends_the_new_value_once_and_the_old_one_never(bench: Bench) -> None:
    always = Policy[str](name="large", value_type=str, ttl_seconds=60, early_refresh_beta=1e9)
    bench.cache.get_or_load(KEY, lambda: "o" * 50_000, policy=always)
    bench.transport.sent_bytes = 0
    assert bench.cache.get_or_load(KEY, lambda: "n" * 50_000, policy=always).value == "n" * 50_000
    assert 50_000 < bench.transport.sent_bytes < 52_000


def test_miss_and_hit_return_the_same_types(bench: Bench) -> None:
    anything = Policy[Any](name="anything", value_type=Any, ttl_seconds=60, early_refresh_beta=0)
    found = [bench.cache.get_or_load(KEY, lambda: {1: (2, 3)}, policy=anything).value for _ in range(2)]
    assert found == [{"1": [2, 3]}] * 2


def test_readers_past_a_cut_cache_share_the_next_load_and_none_that_began_before_them(bench: Bench) -> None:
    bench.transport.cut = True
    running, ends = [0], time.monotonic() + 1
    loads: list[int] = []

    def slow() -> Product:
        running[0] += 1
        loads.append(running[0])
        time.sleep(0.1)
        running[0] -= 1
        return CHAIR

    def read() -> int:
        reads = 0
        while time.monotonic() < ends:
            began = len(loads)
            assert bench.cache.get_or_load(KEY, slow, policy=PRODUCT).value == CHAIR
            assert len(loads) > began, "the load began after the reader"
            reads += 1
        return reads

    counts = together(read)
    assert set(loads) == {1}
    assert min(counts) > 1


def test_value_too_old_to_stand_in_does_not(bench: Bench) -> None:
    put_expired(bench, KEPT, seconds_ago=61)
    with pytest.raises(LoadUnavailableError):
        bench.cache.get_or_load(KEY, failing, policy=KEPT)


def test_stale_value_hides_no_other_error(bench: Bench) -> None:
    put_expired(bench, KEPT)
    with pytest.raises(AssertionError):
        bench.cache.get_or_load(KEY, never, policy=KEPT)


def test_invalidated_value_never_stands_in(bench: Bench) -> None:
    put_expired(bench, KEPT)
    bench.cache.invalidate(KEY)
    with pytest.raises(LoadUnavailableError):
        bench.cache.get_or_load(KEY, failing, policy=KEPT)


def test_reader_with_a_stale_value_waits_for_others_no_longer_than_the_soft_timeout(bench: Bench) -> None:
    rules = policy(stale_if_error_seconds=60, soft_timeout_seconds=0.02)
    expired = rules.codec.encode(KEY, CHAIR, expires=time.time() - 1, load_seconds=0.01)
    claim = rules.codec.claim(expired, until=time.time() + 60)
    put(bench, claim + expired[len(claim) :])
    assert bench.cache.get_or_load(KEY, never, policy=rules) == Result(CHAIR, Served.STALE)


def test_reader_drawn_for_early_refresh_loads_in_its_own_request(bench: Bench) -> None:
    always = policy(early_refresh_beta=1e9)
    bench.cache.get_or_load(KEY, chair, policy=always)
    assert bench.cache.get_or_load(KEY, stool, policy=always) == Result(STOOL, Served.MISS)
    assert bench.cache.get_or_load(KEY, never, policy=PRODUCT) == Result(STOOL, Served.HIT)


def test_early_refresh_that_fails_serves_the_value_at_hand_and_is_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    always = policy(early_refresh_beta=1e9, name=f"refreshed {bench.cache}")
    bench.cache.get_or_load(KEY, chair, policy=always)
    for _ in range(3):
        assert bench.cache.get_or_load(KEY, failing, policy=always) == Result(CHAIR, Served.HIT)
    (record,) = [record for record in caplog.records if always.name in record.getMessage()]
    assert "the database is down" in record.getMessage()


def test_only_one_reader_refreshes_early(bench: Bench) -> None:
    always = policy(early_refresh_beta=1e9)
    bench.cache.get_or_load(KEY, chair, policy=always)
    loads: list[float] = []

    def slow() -> Product:
        loads.append(time.monotonic())
        time.sleep(0.2)
        return STOOL

    results = together(lambda: bench.cache.get_or_load(KEY, slow, policy=always))
    assert len(loads) <= 2, "one, and one more if a reader came after the first was done"
    assert all(result.value in (CHAIR, STOOL) for result in results)


def test_cut_cache_is_bypassed(bench: Bench) -> None:
    bench.transport.cut = True
    assert bench.cache.get_or_load(KEY, chair, policy=PRODUCT) == Result(CHAIR, Served.BYPASS)


def test_replication_id_is_the_servers(bench: Bench) -> None:
    assert bench.cache.replication_id() in str(bench.command("INFO", "replication"))


def test_availability_is_what_the_primary_says_now(bench: Bench) -> None:
    assert bench.cache.available()
    bench.transport.cut = True
    assert not bench.cache.available()
