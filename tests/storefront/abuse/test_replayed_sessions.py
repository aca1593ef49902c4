"""Whoever reads and writes the cache puts back the entry of a session that has ended, seal and all."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from storefront.bootstrap import build_app
from storefront.policies import SEAL_SECONDS, SESSION
from storefront.services.sessions import SessionService
from storefront.settings import Settings
from tests.storefront.clients import bearer, log_in, until_cached, wait_until
from tests.storefront.deployment import OPERATOR
from tests.storefront.sql import Connection
from tests.storefront.writes import WRITES, contents, key_of

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

Credentials = dict[str, str]


def status(client: httpx.Client, token: str) -> int:
    return client.get("/sessions/current", headers=bearer(token)).status_code


@pytest.fixture
def second(operator: httpx.Client, new_user: Callable[[], Credentials], relay: Relay) -> Credentials:
    """The credentials of a second operator."""
    relay.run_once()
    user = new_user()
    assert operator.put(f"/users/{user['username']}/role", json={"role": "operator"}).status_code == 204
    return user


def by_logging_out(client: httpx.Client, token: str, _user: Credentials, _other: str) -> None:
    assert client.delete("/sessions/current", headers=bearer(token)).status_code == 204


def by_a_new_password(client: httpx.Client, _token: str, user: Credentials, other: str) -> None:
    for current, new in ((user["password"], "another pässword"), ("another pässword", user["password"])):
        body = {"current_password": current, "new_password": new}
        assert client.put("/users/me/password", json=body, headers=bearer(other)).status_code == 204


def by_a_role_that_comes_and_goes(client: httpx.Client, _token: str, user: Credentials, _other: str) -> None:
    for role in ("customer", "operator"):
        assert client.put(f"/users/{user['username']}/role", json={"role": role}).status_code == 204


@pytest.mark.attack(
    "put back the cached entry of a session that has ended, and write",
    "401: every write looks for the session's row in its own transaction",
)
@pytest.mark.parametrize("end", [by_logging_out, by_a_new_password, by_a_role_that_comes_and_goes])
def test_no_write_is_done_for_an_entry_that_was_put_back(
    operator: httpx.Client,
    app: WSGIApplication,
    cache: redis.Redis,
    master: Connection,
    product: str,
    second: Credentials,
    end: Callable[[httpx.Client, str, Credentials, str], None],
) -> None:
    operator.put(f"{product}/inventory", json={"available": 50})
    token, other = log_in(app, second), log_in(app, second)
    wait_until(lambda: status(operator, token) == 200 and bool(cache.exists(key_of(token))))
    entry = cache.get(key_of(token))
    assert isinstance(entry, bytes)
    end(operator, token, second, other)
    assert status(operator, token) == 401

    cache.set(key_of(token), entry, px=60_000)
    assert status(operator, token) == 200, "the entry counts: reads rely on it until its seal is too old"
    before = contents(master)
    operator.headers.update(bearer(token))
    assert {name: write(operator, product).status_code for name, write in WRITES.items()} == dict.fromkeys(WRITES, 401)
    assert operator.delete("/sessions/current").status_code == 401
    assert contents(master) == before


@pytest.mark.attack("put it back, and read", "**it lets the reader in until its seal is ten minutes old**")
def test_reads_rely_on_an_entry_that_was_put_back_for_ten_minutes_at_most(
    client: httpx.Client, settings: Settings, cache: redis.Redis, monkeypatch: pytest.MonkeyPatch, relay: Relay
) -> None:
    """Even if it was made to live for longer."""
    relay.run_once()
    now = datetime.now(UTC)
    monkeypatch.setattr("storefront.bootstrap.SessionService", partial(SessionService, clock=lambda: now))
    transport = httpx.WSGITransport(app=build_app(settings))
    with httpx.Client(transport=transport, base_url="http://storefront") as clocked:
        until_cached(clocked, "/products/1")
        token = clocked.post("/sessions", json=OPERATOR).json()["token"]
        wait_until(lambda: status(clocked, token) == 200 and bool(cache.exists(key_of(token))))
        raw = cache.get(key_of(token))
        assert isinstance(raw, bytes)
        sealed = SESSION.codec.read(key_of(token), raw, time.time(), lambda: 0).value
        by_logging_out(clocked, token, {}, "")
        prolonged = SESSION.codec.encode(key_of(token), sealed, expires=time.time() + 3600, load_seconds=0.001)
        cache.set(key_of(token), prolonged, px=3_600_000)

        now += timedelta(seconds=SEAL_SECONDS - 1)
        assert status(clocked, token) == 200
        now += timedelta(seconds=1)
        assert status(clocked, token) == 401
        assert not cache.exists(key_of(token))
