"""What holds on every backend, the fake and the real one."""

from collections.abc import Callable

import pytest

from cache_aside import CacheAside, CacheUnavailableError, Invalidation, Policy, Served
from tests.cache_aside.backends import Backend
from tests.cache_aside.conftest import TEXT


def never() -> str:
    raise AssertionError("loaded")


def test_first_read_loads_and_second_hits(cache: CacheAside) -> None:
    assert cache.get_or_load("k", lambda: "value", policy=TEXT) == ("value", Served.MISS)
    assert cache.get_or_load("k", never, policy=TEXT) == ("value", Served.HIT)


def test_absence_is_cached_and_is_no_miss(cache: CacheAside) -> None:
    assert cache.get_or_load("k", lambda: None, policy=TEXT) == (None, Served.MISS)
    assert cache.get_or_load("k", never, policy=TEXT) == (None, Served.HIT)


def test_invalidated_entry_is_loaded_again(cache: CacheAside) -> None:
    cache.get_or_load("k", lambda: "old", policy=TEXT)
    assert cache.invalidate("k") is Invalidation.CONFIRMED
    assert cache.get_or_load("k", lambda: "new", policy=TEXT) == ("new", Served.MISS)


def test_invalidating_what_is_not_cached_is_confirmed(cache: CacheAside) -> None:
    assert cache.invalidate("never stored") is Invalidation.CONFIRMED


def test_keys_do_not_share_entries(cache: CacheAside) -> None:
    cache.get_or_load("product:1", lambda: "one", policy=TEXT)
    cache.get_or_load("product:11", lambda: "eleven", policy=TEXT)
    cache.invalidate("product:1")
    assert cache.get_or_load("product:11", never, policy=TEXT).value == "eleven"


def test_failed_load_is_raised_and_caches_nothing(cache: CacheAside) -> None:
    with pytest.raises(AssertionError, match="loaded"):
        cache.get_or_load("k", never, policy=TEXT)
    assert cache.get_or_load("k", lambda: "value", policy=TEXT).served is Served.MISS


def test_entry_of_another_schema_version_is_a_miss_and_replaced(cache: CacheAside) -> None:
    next_release = Policy(value_type=str, schema_version=2, ttl_seconds=100, negative_ttl_seconds=10)
    cache.get_or_load("k", lambda: "old shape", policy=TEXT)
    assert cache.get_or_load("k", lambda: "new shape", policy=next_release) == ("new shape", Served.MISS)
    assert cache.get_or_load("k", never, policy=next_release).value == "new shape"


def test_damaged_entry_is_a_miss_and_replaced(cache: CacheAside, backend: Backend) -> None:
    backend.client.set("k", b"\xff{[", ttl_milliseconds=100_000)
    assert cache.get_or_load("k", lambda: "value", policy=TEXT).served is Served.MISS
    assert cache.get_or_load("k", never, policy=TEXT).served is Served.HIT


def test_values_expire_within_the_jitter_of_their_time_to_live(cache: CacheAside, backend: Backend) -> None:
    cache.get_or_load("k", lambda: "value", policy=TEXT)
    assert 80_000 < backend.remaining_milliseconds("k") <= 110_000


def test_absence_expires_within_the_jitter_of_its_shorter_time_to_live(cache: CacheAside, backend: Backend) -> None:
    cache.get_or_load("k", lambda: None, policy=TEXT)
    assert 5_000 < backend.remaining_milliseconds("k") <= 11_000


def test_expired_entry_is_loaded_again(cache: CacheAside, backend: Backend) -> None:
    backend.client.set("k", TEXT.encode("old"), ttl_milliseconds=1)
    while backend.client.get("k") is not None:
        pass
    assert cache.get_or_load("k", lambda: "new", policy=TEXT) == ("new", Served.MISS)


def test_unreachable_cache_is_bypassed(cache: CacheAside, backend: Backend) -> None:
    cache.get_or_load("k", lambda: "cached", policy=TEXT)
    backend.stop()
    assert cache.get_or_load("k", lambda: "loaded", policy=TEXT) == ("loaded", Served.BYPASS)
    assert not cache.available()


def test_deletion_that_did_not_reach_the_cache_is_pending(cache: CacheAside, backend: Backend) -> None:
    backend.stop()
    assert cache.invalidate("k") is Invalidation.PENDING


def test_recovered_cache_is_used_again(cache: CacheAside, backend: Backend) -> None:
    cache.get_or_load("k", lambda: "value", policy=TEXT)
    backend.stop()
    assert cache.get_or_load("k", lambda: "value", policy=TEXT).served is Served.BYPASS
    backend.start()
    assert cache.get_or_load("k", lambda: "value", policy=TEXT).served is Served.MISS
    assert cache.get_or_load("k", never, policy=TEXT).served is Served.HIT
    assert cache.available()


def test_restart_between_two_reads_is_not_noticed(cache: CacheAside, backend: Backend) -> None:
    cache.get_or_load("k", lambda: "value", policy=TEXT)
    backend.stop()
    backend.start()
    assert cache.get_or_load("k", lambda: "value", policy=TEXT).served is Served.MISS
    assert cache.invalidate("k") is Invalidation.CONFIRMED


def test_client_says_when_it_cannot_reach_the_server(backend: Backend) -> None:
    backend.stop()
    commands: tuple[Callable[[], object], ...] = (
        lambda: backend.client.get("k"),
        lambda: backend.client.set("k", b"v", ttl_milliseconds=1000),
        lambda: backend.client.delete("k"),
        backend.client.ping,
    )
    for command in commands:
        with pytest.raises(CacheUnavailableError):
            command()
