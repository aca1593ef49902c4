"""What a read gives the cache: its replies' time, and not what this process takes to send the questions."""

import time
from typing import cast

import pytest

from cache_aside import Policy
from cache_aside.flights import Flights, Queue, ThreadLatch
from cache_aside.protocol import ReadThrough, Surroundings
from cache_aside.results import Result, Served
from cache_aside.steps import RoundTrip, Steps
from faults.fake_server import FakeServer

LOADED = {"number:1": 1}
NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("waits", "left"), [(10.0, [0.25, 0.25]), (0.0, [0.02, 0.02])])
def test_wait_for_a_connection_is_not_taken_off_what_the_cache_may_take(waits: float, left: list[float]) -> None:
    clock, server = Clock(), FakeServer(time.time)
    here = Surroundings(Flights(ThreadLatch), Queue(ThreadLatch), monotonic=clock, cache_seconds=0.25)
    limits = []

    def drive(steps: Steps[Result[int]]) -> Result[int]:
        step = next(steps)
        while True:
            if isinstance(step, RoundTrip):
                limits.append(step.timeout_seconds)
                clock.now += 10
                step.waited_seconds = waits
            replies = [server.execute(command) for command in step.commands] if isinstance(step, RoundTrip) else LOADED
            try:
                step = steps.send(replies)
            except StopIteration as ended:
                return cast("Result[int]", ended.value)

    assert drive(ReadThrough(here).get("number:1", NUMBER)) == Result(1, Served.MISS)
    assert limits[1:] == left
