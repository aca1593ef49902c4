"""A cache that failed is left alone but for one probe an interval."""

from cache_aside import CacheAside, Invalidation, Served
from cache_aside.breaker import Breaker
from tests.cache_aside.backends import FakeClient
from tests.cache_aside.conftest import TEXT


class Clock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_closed_breaker_lets_everything_through() -> None:
    breaker = Breaker(probe_interval_seconds=1)
    assert breaker.allows()
    assert breaker.allows()


def test_open_breaker_lets_one_probe_through_each_interval() -> None:
    clock = Clock()
    breaker = Breaker(probe_interval_seconds=1, clock=clock)
    breaker.failed()
    assert not breaker.allows()
    clock.now = 1.0
    assert breaker.allows()
    assert not breaker.allows()
    clock.now = 2.0
    assert breaker.allows()


def test_successful_probe_closes_the_breaker() -> None:
    clock = Clock()
    breaker = Breaker(probe_interval_seconds=1, clock=clock)
    breaker.failed()
    clock.now = 1.0
    assert breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert breaker.allows()


def test_reads_do_not_ask_a_cache_that_just_failed() -> None:
    client = FakeClient()
    client.reachable = False
    cache = CacheAside(client, probe_interval_seconds=3600)
    for _ in range(10):
        assert cache.get_or_load("k", lambda: "value", policy=TEXT).served is Served.BYPASS
    assert client.calls == 1


def test_invalidation_is_tried_although_the_cache_just_failed() -> None:
    client = FakeClient()
    cache = CacheAside(client, probe_interval_seconds=3600)
    cache.get_or_load("k", lambda: "old", policy=TEXT)
    client.reachable = False
    cache.get_or_load("k", lambda: "old", policy=TEXT)
    client.reachable = True
    assert cache.invalidate("k") is Invalidation.CONFIRMED
    assert cache.get_or_load("k", lambda: "new", policy=TEXT) == ("new", Served.MISS)
