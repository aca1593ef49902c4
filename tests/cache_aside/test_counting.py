"""Counting in windows: what both clients promise, on a fake and on a real server."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cache_aside import CacheUnavailableError
from tests.cache_aside.harness import Bench

KEY, OTHER = "count:1", "count:2"


def totals(bench: Bench, *keys: str) -> list[int]:
    return [count.total for count in bench.cache.count(*keys, window_seconds=60)]


def test_each_key_is_counted_for_itself_in_one_round_trip(bench: Bench) -> None:
    assert totals(bench, KEY) == [1]
    assert totals(bench, KEY, OTHER) == [2, 1]
    assert bench.transport.trips == 2


def test_window_begins_with_the_first_count_and_is_not_prolonged_by_the_next(bench: Bench) -> None:
    (first,) = bench.cache.count(KEY, window_seconds=60)
    (second,) = bench.cache.count(KEY, window_seconds=3600)
    assert 0 < second.seconds_left <= first.seconds_left <= 60
    assert 0 < bench.command("PTTL", KEY) <= 60_000


def test_counting_begins_anew_when_the_window_has_ended(bench: Bench) -> None:
    bench.cache.count(KEY, window_seconds=0.01)
    time.sleep(0.05)
    assert totals(bench, KEY) == [1]


def test_key_that_somebody_made_without_an_end_gets_one(bench: Bench) -> None:
    bench.command("SET", KEY, b"41")
    assert totals(bench, KEY) == [42]
    assert 0 < bench.command("PTTL", KEY) <= 60_000


def test_cleared_keys_count_from_nothing(bench: Bench) -> None:
    totals(bench, KEY, OTHER)
    bench.cache.clear_counts(KEY)
    assert totals(bench, KEY, OTHER) == [1, 2]


def test_nobody_is_missed_when_many_count_at_once(bench: Bench) -> None:
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: totals(bench, KEY)[0], range(64)))
    assert sorted(counted) == list(range(1, 65))


def test_counting_without_the_cache_is_left_to_the_caller(bench: Bench) -> None:
    bench.transport.cut = True
    with pytest.raises(CacheUnavailableError):
        bench.cache.count(KEY, window_seconds=60)
    with pytest.raises(CacheUnavailableError):
        bench.cache.clear_counts(KEY)
