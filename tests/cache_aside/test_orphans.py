"""A reader that is interrupted, wherever it is, leaves nothing behind that the next reader would have to wait for."""

import dis
import inspect
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from cache_aside import CacheAside, LoadUnavailableError, Options, Policy, Served
from cache_aside.breaker import Breaker
from cache_aside.connection import Server, Trust
from cache_aside.envelope import State
from cache_aside.flights import Places, ThreadLatch
from cache_aside.link import Link
from faults.fake_server import FakeServer, FakeSocket
from tests.cache_aside.harness import TrustOnce

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a generator that ends
KEY = "number:1"
NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)
REFRESHED = Policy(name="refreshed", value_type=int, ttl_seconds=60, early_refresh_beta=1e9)
UNCACHED = Policy(name="uncached", value_type=int, ttl_seconds=lambda _: 0)


class SignalError(BaseException):
    """What a signal handler raises."""


class Interruption:
    """A profiler that raises once: at that one of the calls and returns, where CPython would run a signal handler."""

    def __init__(self, point: int) -> None:
        self._point = point
        self.happened = ""
        """Where."""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        ours = "/lambda_src/cache_aside/" in code.co_filename or code.co_qualname.startswith(
            ("FakeSocket.", "Condition.")
        )
        if ours and not _is_between_generators(frame, event):
            self._point -= 1
            if self._point < 0:
                sys.setprofile(None)
                self.happened = f"at the {event} of {code.co_qualname}, line {frame.f_lineno}"
                raise SignalError


def _is_between_generators(frame: FrameType, event: str) -> bool:
    """Where CPython hands a value from one generator to another, or throws into one, it runs no handler."""
    code, at = frame.f_code, frame.f_lasti
    resumes = code.co_code[at] == dis.opmap["RESUME"] and code.co_code[at + 1] & 3 <= 1
    return bool(code.co_flags & inspect.CO_GENERATOR) and (event == "return" or not resumes)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """What every connection leads to."""
    made = FakeServer(time.time)

    class Greeting:
        def __init__(self, *_: object) -> None:
            self._sock = FakeSocket(made)

        def connect(self) -> None:
            """It is connected."""

        def disconnect(self) -> None:
            """Nothing is held."""

    monkeypatch.setattr("cache_aside.link._Greeting", Greeting)
    return made


def client() -> CacheAside:
    """One whose connections lead there."""
    options = Options()
    return CacheAside(Link(Server(host="nowhere"), breaker=Breaker(), trust=Trust(None)), options=options)


def nobody_waits(server: FakeServer, policy: Policy[int]) -> bool:
    """Whether the next reader loads or has a hit at once."""
    entry = policy.codec.read(KEY, server.peek(KEY), time.time(), lambda: 0.0)
    return entry.state is not State.LEASED and not entry.claimed


@pytest.mark.parametrize("policy", [NUMBER, REFRESHED, UNCACHED], ids=lambda policy: str(policy.name))
def test_reader_that_is_interrupted_at_any_call_or_return_leaves_no_lease_and_no_flight(
    server: FakeServer, policy: Policy[int]
) -> None:
    point, happened = 0, "not yet"
    while happened:
        cache = client()
        if policy is REFRESHED:
            cache.get_or_load(KEY, lambda: 1, policy=policy)
        interruption = Interruption(point)
        sys.setprofile(interruption)
        try:
            cache.get_or_load(KEY, lambda: 1, policy=policy)
        except SignalError:
            assert nobody_waits(server, policy), f"a lease is left {interruption.happened}"
            assert not cache._flights._open, f"a flight is left {interruption.happened}"
            assert not cache._past._running, interruption.happened
            assert not cache._past._gathering._open, interruption.happened
        finally:
            sys.setprofile(None)
        happened = interruption.happened
        point += 1
        cache.invalidate(KEY)
        assert cache.get_or_load(KEY, lambda: 2, policy=NUMBER).served is Served.MISS, "and the client still works"
        cache.invalidate(KEY)
    assert point > 200


@pytest.mark.parametrize("reads", ["a missing key", "a refresh", "many keys"])
def test_reader_that_is_interrupted_after_its_load_has_failed_leaves_no_lease_and_no_flight(
    server: FakeServer, reads: str
) -> None:
    def fail(*_: object) -> Any:
        raise LoadUnavailableError

    policy = REFRESHED if reads == "a refresh" else NUMBER
    point, happened = 0, "not yet"
    while happened:
        cache = client()
        if policy is REFRESHED:
            cache.get_or_load(KEY, lambda: 1, policy=policy)
        interruption = Interruption(point)
        with suppress(SignalError, LoadUnavailableError):
            sys.setprofile(interruption)
            try:
                if reads == "many keys":
                    cache.get_many_or_load([KEY, "number:2"], fail, policy=policy)
                else:
                    cache.get_or_load(KEY, fail, policy=policy)
            finally:
                sys.setprofile(None)
        assert nobody_waits(server, policy), f"a lease is left {interruption.happened}"
        assert not cache._flights._open, f"a flight is left {interruption.happened}"
        happened = interruption.happened
        point += 1
        cache.invalidate(KEY, "number:2")
    assert point > 150


def test_lease_from_a_server_that_is_no_longer_trusted_is_given_back(server: FakeServer) -> None:
    closed = Policy(name="closed", value_type=int, ttl_seconds=60, fail_closed=True)
    cache = CacheAside(Link(Server(host="nowhere"), breaker=Breaker(), trust=TrustOnce()))
    assert cache.get_or_load(KEY, lambda: 1, policy=closed).served is Served.BYPASS
    assert server.peek(KEY) is None


def test_latch_whose_setting_is_interrupted_is_set_by_the_next_attempt_and_wakes_who_waits() -> None:
    point, happened = 0, "not yet"
    while happened:
        latch, interruption = ThreadLatch(), Interruption(point)
        waiter = threading.Thread(target=latch.wait, args=[10], daemon=True)
        waiter.start()
        sys.setprofile(interruption)
        with suppress(SignalError):
            latch.set()
        sys.setprofile(None)
        happened = interruption.happened
        again = threading.Thread(target=latch.set, daemon=True)
        again.start()
        for thread in (again, waiter):
            thread.join(5)
            assert not thread.is_alive(), f"it hangs after an interruption {happened}"
        point += 1
    assert point > 2


def test_places_are_neither_lost_nor_given_twice_however_often_their_takers_are_interrupted() -> None:
    places, point, happened = Places(1), 0, "not yet"
    while happened:
        interruption, ticket = Interruption(point), object()
        sys.setprofile(interruption)
        try:
            places.take(ticket, 1)
        except SignalError:
            pass
        finally:
            sys.setprofile(None)
            places.give_back(ticket)
        happened = interruption.happened
        point += 1
        assert places.take("the next", 0), f"a place is lost {happened}"
        assert not places.take("one too many", 0)
        places.give_back("the next")
    assert point > 4
