"""Whoever can write to the cache does not become somebody else by it."""

import hashlib
import secrets
from collections.abc import Callable
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from storefront.policies import session_key
from tests.storefront.clients import bearer, log_in, wait_until
from tests.storefront.deployment import OPERATOR

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


def key_of(token: str) -> str:
    return session_key(hashlib.sha256(token.encode()).digest())


def current(client: httpx.Client, token: str) -> httpx.Response:
    return client.get("/sessions/current", headers=bearer(token))


@pytest.fixture
def cached(client: httpx.Client, app: WSGIApplication, cache: redis.Redis, relay: Relay) -> str:
    """The token of an operator's session, which is cached."""
    relay.run_once()
    token = log_in(app, OPERATOR)
    wait_until(lambda: current(client, token).is_success and bool(cache.exists(key_of(token))))
    return token


def test_copy_under_the_hash_of_a_chosen_token_lets_nobody_in(
    client: httpx.Client, cached: str, cache: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = secrets.token_urlsafe(32)
    assert cache.copy(key_of(cached), key_of(chosen))
    assert current(client, chosen).status_code == 401
    assert client.post("/products", json={"name": "x", "price": 1}, headers=bearer(chosen)).status_code == 401
    assert not cache.exists(key_of(chosen))
    assert "has not sealed" in caplog.text
    assert chosen not in caplog.text


def test_customer_who_writes_operator_into_their_cached_session_stays_a_customer(
    client: httpx.Client, app: WSGIApplication, cache: redis.Redis, relay: Relay, new_user: Callable[[], dict[str, str]]
) -> None:
    relay.run_once()
    token = log_in(app, new_user())
    wait_until(lambda: current(client, token).is_success and bool(cache.exists(key_of(token))))
    entry = cache.get(key_of(token))
    assert isinstance(entry, bytes)
    forged = entry.replace(b'"role":"customer"', b'"role":"operator"')
    assert forged != entry
    cache.set(key_of(token), forged, px=60_000)
    assert current(client, token).json()["role"] == "customer"
    assert client.post("/products", json={"name": "x", "price": 1}, headers=bearer(token)).status_code == 403


def test_session_that_is_cached_still_asks_the_database_nothing(
    recorded: httpx.Client, cached: str, statements: list[str]
) -> None:
    current(recorded, cached)
    statements.clear()
    assert current(recorded, cached).is_success
    assert statements == []
