"""Hashing passwords: what is stored, and that a process never hashes more at once than it may."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from wsgiref.types import WSGIApplication

import httpx
import pytest

from storefront import passwords
from storefront.bootstrap import build_app
from storefront.errors import PasswordsBusyError
from storefront.passwords import Passwords, hash_password, verify_password
from storefront.settings import Settings
from tests.storefront.running import CHEAP

Scrypt = Callable[..., bytes]


class Slow:
    """Stands in for scrypt: each call waits until it may go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.running = self.most = 0
        self._changed = threading.Condition()

    def __call__(self, *_: object) -> bytes:
        with self._changed:
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
        assert self.go_on.wait(30)
        with self._changed:
            self.running -= 1
        return bytes(32)

    def wait_for(self, running: int) -> None:
        """Until so many hashes run."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.running == running, 30)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Hashes that end when a test says so."""
    made = Slow()
    monkeypatch.setattr(passwords, "_scrypt", made)
    return made


def test_hashes_are_salted_and_verify_only_their_own() -> None:
    first, second = hash_password("pässword"), hash_password("pässword")
    assert first != second
    assert first.startswith("$scrypt$ln=15,r=8,p=3$")
    assert verify_password("pässword", first)
    assert not verify_password("password", first)


def test_damaged_hash_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a password hash"):
        verify_password("password", "plain text")


def test_nobody_has_a_password_that_is_right() -> None:
    assert not Passwords(log2_cost=CHEAP).verify("", None)


def test_production_hashes_cost_what_owasp_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD_LOG2_COST", "1")
    assert Passwords().hash("x").startswith("$scrypt$ln=15,r=8,p=3$")
    assert Settings.__dataclass_fields__["password_log2_cost"].default == 15


def test_hash_leaves_the_interpreter_to_other_threads() -> None:
    """With a switch interval of an hour nobody else runs unless the hash gives up the GIL."""
    done = threading.Event()
    began = threading.Event()

    def hash_one() -> None:
        began.set()
        hash_password("x")
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(3600)
    try:
        thread = threading.Thread(target=hash_one)
        thread.start()
        assert began.wait(30)
        assert not done.is_set()
    finally:
        sys.setswitchinterval(interval)
    thread.join()


def test_no_more_run_at_once_than_may_and_a_few_wait_their_turn(slow: Slow) -> None:
    bounded = Passwords(at_once=2, waiting=3, wait_seconds=30)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(bounded.hash, "x") for _ in range(8)]
        refused, under_way = wait(asked, 30, "FIRST_EXCEPTION")
        slow.wait_for(2)
        while len(refused) < 3:
            refused, under_way = wait(asked, 0.01)
        slow.go_on.set()
        assert all(future.result() for future in under_way)
    assert {type(future.exception()) for future in refused} == {PasswordsBusyError}
    assert (len(refused), len(under_way), slow.most) == (3, 5, 2)


def test_whoever_waits_too_long_is_sent_away_and_the_place_is_free_again(slow: Slow) -> None:
    bounded = Passwords(at_once=1, waiting=1, wait_seconds=0.01)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(bounded.hash, "x")
        slow.wait_for(1)
        for _ in range(3):
            with pytest.raises(PasswordsBusyError):
                bounded.hash("x")
        slow.go_on.set()
        assert running.result()
    assert bounded.hash("x")


def test_failure_gives_its_place_back() -> None:
    bounded = Passwords(at_once=1, waiting=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="not a password hash"):
            bounded.verify("x", "damaged")


@pytest.mark.attack(
    "starve reads with a storm of logins",
    "a process hashes few passwords at a time; the rest get 503 with `Retry-After`",
)
@pytest.mark.engines
@pytest.mark.usefixtures("environment")
def test_storm_of_logins_is_answered_503_and_reads_beside_it_are_served(settings: Settings, slow: Slow) -> None:
    app = build_app(replace(settings, password_log2_cost=CHEAP))
    statuses = []
    with ThreadPoolExecutor(16) as pool, client_of(app) as reader:
        storm = [pool.submit(log_in, app) for _ in range(16)]
        answered, _ = wait(storm, 30, "FIRST_COMPLETED")
        while len(answered) < 16 - most_in_turn():
            answered, _ = wait(storm, 0.01)
        statuses = [reader.get("/products/1").status_code for _ in range(20)]
        slow.go_on.set()
    assert statuses == [200] * 20
    refused = [future.result() for future in storm if future.result().status_code == 503]
    assert {answer.headers["Retry-After"] for answer in refused} == {"2"}
    assert {future.result().status_code for future in storm} == {401, 503}


def client_of(app: WSGIApplication) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront")


def log_in(app: WSGIApplication) -> httpx.Response:
    with client_of(app) as client:
        return client.post("/sessions", json={"username": "nobody", "password": "a guess"})


def most_in_turn() -> int:
    """How many a process lets in: those that run, and those that wait."""
    places = Passwords()._places
    return int(places._initial_value)  # type: ignore[attr-defined]
