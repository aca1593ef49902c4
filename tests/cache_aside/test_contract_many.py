"""What both clients promise about many keys at once."""

import threading
import time
from collections.abc import Sequence

import pytest

from cache_aside import LoadUnavailableError, Policy, Result, Served
from cache_aside.envelope import new_lease
from tests.cache_aside.harness import Bench, Product

PRODUCT = Policy(name="product", value_type=Product, ttl_seconds=60, early_refresh_beta=0)
KEYS = [f"product:{number}" for number in range(1, 6)]


class Source:
    """A database that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def load(self, keys: Sequence[str]) -> dict[str, Product | None]:
        self.asked.append(list(keys))
        return {key: Product(int(key.rpartition(":")[2]), key) for key in keys if key != "product:3"}


def test_missing_keys_are_loaded_at_once_in_three_round_trips(bench: Bench) -> None:
    source = Source()
    results = bench.cache.get_many_or_load(KEYS, source.load, policy=PRODUCT)
    assert results["product:1"] == Result(Product(1, "product:1"), Served.MISS)
    assert results["product:3"] == Result(None, Served.MISS)
    assert source.asked == [KEYS]
    assert bench.transport.trips == 3


def test_hits_take_one_round_trip(bench: Bench) -> None:
    keys = [key for key in KEYS if key != "product:3"]
    bench.cache.get_many_or_load(keys, Source().load, policy=PRODUCT)
    results = bench.cache.get_many_or_load(keys, Source().load, policy=PRODUCT)
    assert {result.served for result in results.values()} == {Served.HIT}
    assert bench.transport.trips == 4


def test_only_what_is_missing_is_loaded(bench: Bench) -> None:
    bench.cache.get_or_load("product:2", lambda: Product(2, "kept"), policy=PRODUCT)
    source = Source()
    results = bench.cache.get_many_or_load(["product:1", "product:2", "product:1"], source.load, policy=PRODUCT)
    assert source.asked == [["product:1"]]
    assert results["product:2"] == Result(Product(2, "kept"), Served.HIT)


def test_no_keys_cost_nothing(bench: Bench) -> None:
    assert bench.cache.get_many_or_load([], Source().load, policy=PRODUCT) == {}
    assert bench.transport.trips == 0


def test_keys_that_another_process_loads_are_waited_for(bench: Bench) -> None:
    bench.command("SET", "product:1", new_lease(), "PX", 60_000)
    fill = PRODUCT.codec.encode("product:1", Product(1, "theirs"), expires=time.time() + 60, load_seconds=0)
    threading.Timer(0.1, lambda: bench.command("SET", "product:1", fill, "PX", 60_000)).start()
    source = Source()
    results = bench.cache.get_many_or_load(["product:1", "product:2"], source.load, policy=PRODUCT)
    assert results["product:1"] == Result(Product(1, "theirs"), Served.JOINED)
    assert source.asked == [["product:2"]]


def test_del_refuses_only_the_fill_of_its_own_key(bench: Bench) -> None:
    def overtaken(keys: Sequence[str]) -> dict[str, Product | None]:
        bench.command("DEL", "product:1")
        return Source().load(keys)

    bench.cache.get_many_or_load(["product:1", "product:2"], overtaken, policy=PRODUCT)
    assert bench.command("GET", "product:1") is None
    assert bench.command("GET", "product:2") is not None


def test_failed_load_gives_every_lease_back(bench: Bench) -> None:
    def failing(keys: Sequence[str]) -> dict[str, Product | None]:
        raise LoadUnavailableError

    with pytest.raises(LoadUnavailableError):
        bench.cache.get_many_or_load(KEYS, failing, policy=PRODUCT)
    assert bench.command("MGET", *KEYS) == [None] * len(KEYS)


def test_cut_cache_is_bypassed_with_one_load(bench: Bench) -> None:
    bench.transport.cut = True
    source = Source()
    results = bench.cache.get_many_or_load(KEYS, source.load, policy=PRODUCT)
    assert {result.served for result in results.values()} == {Served.BYPASS}
    assert source.asked == [KEYS]
