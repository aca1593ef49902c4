"""Every order of the steps of readers and writers: no read is older than a write acknowledged before it began."""

from dataclasses import replace

import pytest

from cache_aside.policy import Policy
from faults.model import (
    KEY,
    NEXT_RELEASE,
    VERSION,
    Reader,
    Scenario,
    World,
    Writer,
    explore,
    lost_reply,
    past_the_cache,
    two_releases,
    two_threads,
)

ALWAYS_REFRESH = Policy[int](
    name="refreshed", value_type=int, ttl_seconds=1000, jitter=0, early_refresh_beta=1e12, wait_timeout_seconds=2
)
KEPT_FOR_ERRORS = Policy[int](
    name="kept", value_type=int, ttl_seconds=10, jitter=0, stale_if_error_seconds=900, wait_timeout_seconds=2
)
NEVER_STORED = Policy[int](name="large", value_type=int, ttl_seconds=1000, max_bytes=1, wait_timeout_seconds=2)


def cold(world: World) -> list[object]:
    return [Reader(world, world.process()), Writer(world)]


def two_writers(world: World) -> list[object]:
    return [Reader(world, world.process()), Writer(world), Writer(world)]


def cached(world: World) -> list[object]:
    world.run(world.process().get(KEY, VERSION))
    return cold(world)


def early_refresh(world: World) -> list[object]:
    world.run(world.process().get(KEY, ALWAYS_REFRESH))
    return [Reader(world, world.process(), ALWAYS_REFRESH), Writer(world)]


def expired(world: World) -> list[object]:
    world.run(world.process().get(KEY, KEPT_FOR_ERRORS))
    world.now += 20
    return [Reader(world, world.process(), KEPT_FOR_ERRORS), Writer(world)]


def unreadable(world: World) -> list[object]:
    world.server.put(KEY, b"another release wrote this")
    return cold(world)


def too_large(world: World) -> list[object]:
    return [Reader(world, world.process(), NEVER_STORED), Writer(world)]


def two_processes(world: World) -> list[object]:
    return [Reader(world, world.process()), Reader(world, world.process()), Writer(world)]


def two_threads_refreshing(world: World) -> list[object]:
    world.run(world.process().get(KEY, ALWAYS_REFRESH))
    process = world.process()
    return [Reader(world, process, ALWAYS_REFRESH), Reader(world, process, ALWAYS_REFRESH), Writer(world)]


def two_threads_too_large(world: World) -> list[object]:
    process = world.process()
    return [Reader(world, process, NEVER_STORED), Reader(world, process, NEVER_STORED), Writer(world)]


def two_releases_refreshing(world: World) -> list[object]:
    policies = (ALWAYS_REFRESH, replace(ALWAYS_REFRESH, schema_version=2))
    for policy in policies:
        world.run(world.process().get(KEY, policy))
    return [*(Reader(world, world.process(), policy) for policy in policies), Writer(world)]


def next_release_when_the_value_has_expired(world: World) -> list[object]:
    world.run(world.process().get(KEY, KEPT_FOR_ERRORS))
    world.now += 20
    return [
        Reader(world, world.process(), KEPT_FOR_ERRORS),
        Reader(world, world.process(), NEXT_RELEASE),
        Writer(world),
    ]


def two_threads_while_another_process_loads(world: World) -> list[object]:
    process, loader = world.process(), Reader(world, world.process())
    for _ in range(5):  # begin, GET and its reply, the lease and its reply
        loader.step()
    return [loader, Reader(world, process), Reader(world, process), Writer(world)]


@pytest.mark.parametrize("scenario", [cold, cached, early_refresh, expired, unreadable, too_large])
def test_no_order_of_one_reader_and_writers_serves_or_keeps_a_stale_value(scenario: Scenario) -> None:
    assert explore(scenario) > 10


@pytest.mark.parametrize(
    "scenario", [two_writers, two_processes, two_threads, two_threads_refreshing, two_threads_too_large]
)
def test_no_order_of_three_actors_with_up_to_three_preemptions_does(scenario: Scenario) -> None:
    assert explore(scenario, most_preemptions=3) > 100


@pytest.mark.parametrize(
    ("scenario", "most"),
    [(two_releases, 3), (two_releases_refreshing, 2), (next_release_when_the_value_has_expired, 2)],
)
def test_no_order_of_readers_of_two_releases_does(scenario: Scenario, most: int) -> None:
    assert explore(scenario, most_preemptions=most) > 100


@pytest.mark.parametrize("scenario", [lost_reply, past_the_cache])
def test_no_order_does_when_a_lease_is_in_doubt_or_the_cache_out_of_reach(scenario: Scenario) -> None:
    assert explore(scenario, most_preemptions=3) > 100


def test_no_order_of_readers_who_wait_for_another_process_does() -> None:
    assert explore(two_threads_while_another_process_loads, most_preemptions=2) > 100
