"""Passwords cannot be tried without end: by Redis for all workers, by each worker for itself while Redis is away."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import pytest
import redis

from cache_aside import CacheAside
from local.engines import Valkey
from storefront.bootstrap import build_app
from storefront.services.errors import TooManyAttemptsError
from storefront.services.login_limit import LocalCounts, LoginLimit, LoginLimits
from storefront.settings import Settings
from tests.storefront.deployment import OPERATOR

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment", "client")]

LIMITS = LoginLimits(per_user_and_address=3, per_user=6, per_address=8, window_seconds=60)
Worker = Callable[..., httpx.Client]


@pytest.fixture
def worker(settings: Settings, cache: redis.Redis) -> Iterator[Worker]:
    """Makes a client of another process of an app with low limits; nothing is counted yet."""
    for key in cache.scan_iter("login:*"):
        cache.delete(key)
    with ExitStack() as opened:

        def make(address: str = "192.0.2.1") -> httpx.Client:
            app = build_app(replace(settings, login_limits=LIMITS))
            transport = httpx.WSGITransport(app=app, remote_addr=address)
            return opened.enter_context(httpx.Client(transport=transport, base_url="http://storefront"))

        yield make


def log_in(client: httpx.Client, username: str = OPERATOR["username"], **headers: str) -> int:
    """With a wrong password."""
    credentials = {"username": username, "password": "wrong"}
    return client.post("/sessions", json=credentials, headers=headers).status_code


def log_in_rightly(client: httpx.Client) -> int:
    return client.post("/sessions", json=OPERATOR).status_code


def test_refused_attempt_says_when_to_come_back(worker: Worker) -> None:
    client = worker()
    assert [log_in(client) for _ in range(3)] == [401] * 3
    refused = client.post("/sessions", json=OPERATOR)
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert 0 < int(refused.headers["Retry-After"]) <= 60


def test_limit_holds_over_all_workers(worker: Worker) -> None:
    first, second = worker(), worker()
    assert [log_in(client) for client in (first, second, first)] == [401] * 3
    assert (log_in(first), log_in(second)) == (429, 429)


def test_refused_attempts_do_not_prolong_the_window(worker: Worker, cache: redis.Redis) -> None:
    client = worker()
    log_in(client)
    ends = {key: cache.expiretime(key) for key in cache.scan_iter("login:*")}
    assert len(ends) == 3
    assert [log_in(client) for _ in range(5)] == [401] * 2 + [429] * 3
    assert {key: cache.expiretime(key) for key in cache.scan_iter("login:*")} == ends


def test_success_clears_what_was_counted_for_the_user_but_not_for_the_address(worker: Worker) -> None:
    client = worker()
    for _ in range(2):
        assert [log_in(client), log_in(client), log_in_rightly(client)] == [401, 401, 201]
    assert [log_in(client, "somebody"), log_in(client, "somebody"), log_in(client, "somebody")] == [401, 401, 429]


def test_user_cannot_be_locked_out_from_one_other_address(worker: Worker) -> None:
    attacker, user = worker("192.0.2.66"), worker()
    assert [log_in(attacker) for _ in range(5)] == [401] * 3 + [429] * 2
    assert log_in_rightly(user) == 201


def test_guesses_from_many_addresses_are_limited_together(worker: Worker) -> None:
    answers = [log_in(worker(f"192.0.2.{number}")) for number in range(7)]
    assert answers == [401] * 6 + [429]


def test_one_address_cannot_try_everybody(worker: Worker) -> None:
    client = worker()
    assert [log_in(client, f"user{number}") for number in range(9)] == [401] * 8 + [429]


def test_an_address_that_the_client_names_does_not_help(worker: Worker) -> None:
    client = worker()
    answers = [log_in(client, **{"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(4)]
    assert answers == [401] * 3 + [429]


def test_spellings_of_one_name_share_a_counter(worker: Worker) -> None:
    client = worker()
    assert [log_in(client, name) for name in ("eve", "EVE ", "\uff45ve", "eve")] == [401] * 3 + [429]


def test_addresses_of_one_network_of_ipv6_share_a_counter(worker: Worker) -> None:
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::1", "2001:db8::4", "2001:db8:0:1::1"]
    assert [log_in(worker(address)) for address in addresses] == [401] * 3 + [429] + [401]


def test_keys_tell_no_name_and_no_address_and_all_of_them_end(worker: Worker, cache: redis.Redis) -> None:
    log_in(worker(), "secret name" * 9)
    keys = [key.decode() for key in cache.scan_iter("login:*")]
    assert len(keys) == 3
    assert all(len(key) < 60 and "secret" not in key and "192.0.2" not in key for key in keys)
    assert all(0 < cache.pttl(key) <= 60_000 for key in keys)


def test_without_the_cache_each_worker_limits_for_itself(worker: Worker, valkey: Valkey) -> None:
    first, second = worker(), worker()
    valkey.kill()
    assert [log_in(first) for _ in range(4)] == [401] * 3 + [429]
    assert log_in(second) == 401


def test_limit_of_a_worker_is_cleared_by_success_without_the_cache(worker: Worker, valkey: Valkey) -> None:
    client = worker()
    valkey.kill()
    for _ in range(2):
        assert [log_in(client), log_in(client), log_in_rightly(client)] == [401, 401, 201]


def test_refused_attempt_costs_no_hash(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    client = worker()

    def verify(password: str, _stored: str) -> bool:
        verified.append(password)
        return False

    monkeypatch.setattr("storefront.services.sessions.verify_password", verify)
    assert [log_in(client) for _ in range(6)] == [401] * 3 + [429] * 3
    assert len(verified) == 3


def test_local_counts_are_bounded_and_end() -> None:
    now = 0.0
    counts = LocalCounts(capacity=2, clock=lambda: now)
    for key in ("a", "b", "c"):
        counts.count(key, window_seconds=10)
    assert [count.total for count in counts.count("b", "c", window_seconds=10)] == [2, 2]
    assert [count.total for count in counts.count("a", window_seconds=10)] == [1]
    now = 10.0
    (anew,) = counts.count("c", window_seconds=10)
    assert (anew.total, anew.seconds_left) == (1, 10)


def test_wait_is_told_in_whole_seconds_until_the_last_exceeded_window_ends() -> None:
    now = 0.0
    limit = LoginLimit(CacheAside.connect("localhost", 1), LIMITS, LocalCounts(clock=lambda: now))
    for _ in range(3):
        limit.attempt("eve", "192.0.2.1")
    now = 12.5
    with pytest.raises(TooManyAttemptsError) as refused:
        limit.attempt("eve", "192.0.2.1")
    assert refused.value.retry_after_seconds == 48
