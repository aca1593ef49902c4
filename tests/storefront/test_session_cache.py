"""Sessions are read through the cache, and it never lets anybody in who has logged out."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
import redis

from cache_aside import Relay
from local.engines import Valkey
from storefront.bootstrap import build_app
from storefront.settings import Settings
from tests.storefront.clients import until_cached, wait_until
from tests.storefront.deployment import OPERATOR, frozen
from tests.storefront.sql import Connection, SqlEngine

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


@pytest.fixture(autouse=True)
def trusted(client: httpx.Client, relay: Relay) -> None:
    """The cache is one whose lost deletions are known to be repeated."""
    assert relay.run_once().reachable


@pytest.fixture
def bearer(client: httpx.Client, cache: redis.Redis) -> dict[str, str]:
    """A new session's header; the session is cached."""
    header = {"Authorization": f"Bearer {client.post('/sessions', json=OPERATOR).json()['token']}"}
    wait_until(lambda: status(client, header) == 200 and bool(cache.exists(key_of(header))))
    return header


@pytest.fixture
def other_worker(settings: Settings) -> Iterator[httpx.Client]:
    """Another process of the app, as far as the cache can tell."""
    with httpx.Client(transport=httpx.WSGITransport(app=build_app(settings)), base_url="http://storefront") as client:
        yield client


def status(client: httpx.Client, bearer: dict[str, str]) -> int:
    return client.get("/sessions/current", headers=bearer).status_code


def key_of(bearer: dict[str, str]) -> str:
    token = bearer["Authorization"].removeprefix("Bearer ")
    return f"session:{hashlib.sha256(token.encode()).hexdigest()}"


def test_session_that_is_cached_asks_the_database_nothing(
    client: httpx.Client, other_worker: httpx.Client, bearer: dict[str, str], master: Connection
) -> None:
    assert (status(client, bearer), status(other_worker, bearer)) == (200, 200)
    with master.locked("sessions", "users"):
        assert (status(client, bearer), status(other_worker, bearer)) == (200, 200)


def test_cache_holds_no_token_and_no_guess(client: httpx.Client, bearer: dict[str, str], cache: redis.Redis) -> None:
    status(client, bearer)
    assert status(client, {"Authorization": "Bearer a-guess"}) == 401
    token = bearer["Authorization"].removeprefix("Bearer ").encode()
    assert cache.exists(key_of(bearer))
    # What tells others that they need not wait for a load: for a second, and worth no more than its 13 bytes.
    guess = key_of({"Authorization": "Bearer a-guess"})
    assert cache.strlen(guess) <= 13
    assert cache.pttl(guess) <= 1000
    for key in cache.scan_iter("session:*"):
        assert token not in key
        assert token not in (cache.get(key) or b"")


def test_cached_session_lives_ten_minutes_at_most(
    client: httpx.Client, bearer: dict[str, str], cache: redis.Redis
) -> None:
    assert 0 < cache.ttl(key_of(bearer)) <= 600


def test_logged_out_session_is_refused_by_every_worker(
    client: httpx.Client, other_worker: httpx.Client, bearer: dict[str, str], master: Connection
) -> None:
    assert (status(client, bearer), status(other_worker, bearer)) == (200, 200)
    ended = client.delete("/sessions/current", headers=bearer)
    assert (ended.status_code, ended.content) == (204, b"")
    assert (status(other_worker, bearer), status(client, bearer)) == (401, 401)
    delivered = 'SELECT delivered_at IS NOT NULL FROM cache_invalidations WHERE "key" = %s'
    assert master.execute(delivered, [key_of(bearer)]).fetchall() == [(True,)]


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_logout_without_the_cache_states_its_bound_and_holds_at_once_where_the_database_is_asked(
    client: httpx.Client, other_worker: httpx.Client, bearer: dict[str, str], valkey: Valkey, outage: str
) -> None:
    assert (status(client, bearer), status(other_worker, bearer)) == (200, 200)
    if outage == "killed":
        valkey.kill()
        ended = client.delete("/sessions/current", headers=bearer)
        assert (status(client, bearer), status(other_worker, bearer)) == (401, 401)
    else:
        with frozen(valkey):
            ended = client.delete("/sessions/current", headers=bearer)
            assert (status(client, bearer), status(other_worker, bearer)) == (401, 401)
    assert ended.status_code == 202
    assert ended.headers["X-Invalidation"] == "pending"
    assert ended.json() == {"holds_within_seconds": 122}


def test_bound_follows_the_period_of_the_relay(settings: Settings, valkey: Valkey, bearer: dict[str, str]) -> None:
    app = build_app(replace(settings, relay_period_seconds=1))
    valkey.kill()
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as client:
        assert client.delete("/sessions/current", headers=bearer).json() == {"holds_within_seconds": 3}


def test_relay_ends_a_session_whose_logout_was_pending(
    client: httpx.Client,
    bearer: dict[str, str],
    valkey: Valkey,
    cache: redis.Redis,
    relay: Relay,
) -> None:
    before = cache.get(key_of(bearer))
    assert isinstance(before, bytes)
    valkey.kill()
    assert client.delete("/sessions/current", headers=bearer).status_code == 202
    valkey.start()
    cache.set(key_of(bearer), before, px=60_000)
    relay.run_once()
    assert not cache.exists(key_of(bearer))
    until_cached(client, "/products/1")
    assert status(client, bearer) == 401


def test_session_is_not_read_from_a_server_that_may_have_lost_its_logout(
    client: httpx.Client,
    other_worker: httpx.Client,
    bearer: dict[str, str],
    valkey: Valkey,
    cache: redis.Redis,
    relay: Relay,
) -> None:
    before = cache.get(key_of(bearer))
    assert isinstance(before, bytes)
    assert client.delete("/sessions/current", headers=bearer).status_code == 204
    valkey.kill()
    valkey.start()
    cache.set(key_of(bearer), before, px=60_000)
    until_cached(client, "/products/1")
    assert (status(client, bearer), status(other_worker, bearer)) == (401, 401)
    relay.run_once()
    assert not cache.exists(key_of(bearer))


def test_session_that_was_deleted_past_the_app_is_forgotten_by_logging_out(
    client: httpx.Client, bearer: dict[str, str], master: Connection, cache: redis.Redis
) -> None:
    status(client, bearer)
    token_hash = bytes.fromhex(key_of(bearer).removeprefix("session:"))
    master.execute("DELETE FROM sessions WHERE token_hash = %s", [token_hash])
    assert client.delete("/sessions/current", headers=bearer).status_code == 401
    assert not cache.exists(key_of(bearer))


def test_without_the_database_a_cached_session_is_known_and_cannot_be_ended(
    client: httpx.Client, bearer: dict[str, str], engine: SqlEngine
) -> None:
    assert status(client, bearer) == 200
    engine.kill()
    assert status(client, bearer) == 200
    assert client.delete("/sessions/current", headers=bearer).status_code == 503
