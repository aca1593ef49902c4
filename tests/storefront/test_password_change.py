"""A new password ends every other session of that user, for every worker, with the cache up and with the cache down."""

import hashlib
import json
from collections.abc import Callable, Iterator
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from local.engines import Valkey
from storefront.bootstrap import build_app
from storefront.settings import Settings
from tests.storefront.clients import log_in, until_cached, wait_until
from tests.storefront.deployment import OPERATOR, frozen
from tests.storefront.sql import Connection

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

NEW = "a new pässword"


@pytest.fixture(autouse=True)
def trusted(client: httpx.Client, relay: Relay) -> None:
    """The cache is one whose lost deletions are known to be repeated."""
    assert relay.run_once().reachable


@pytest.fixture
def user(new_user: Callable[[], dict[str, str]]) -> dict[str, str]:
    """The credentials of a user whom no other test knows."""
    return new_user()


@pytest.fixture
def workers(client: httpx.Client, settings: Settings) -> Iterator[list[httpx.Client]]:
    """Two processes of the app, as far as the cache can tell."""
    transport = httpx.WSGITransport(app=build_app(settings))
    with httpx.Client(transport=transport, base_url="http://storefront") as other:
        yield [client, other]


@pytest.fixture
def tokens(app: WSGIApplication, user: dict[str, str], workers: list[httpx.Client], cache: redis.Redis) -> list[str]:
    """Three sessions of the user, all of them cached."""
    made = [log_in(app, user) for _ in range(3)]
    wait_until(lambda: all(statuses(workers, token) == [200, 200] for token in made))
    wait_until(lambda: cache.exists(*map(key_of, made)) == 3)
    return made


def key_of(token: str) -> str:
    return f"session:{hashlib.sha256(token.encode()).hexdigest()}"


def statuses(workers: list[httpx.Client], token: str) -> list[int]:
    headers = {"Authorization": f"Bearer {token}"}
    return [worker.get("/sessions/current", headers=headers).status_code for worker in workers]


def change(client: httpx.Client, token: str, user: dict[str, str]) -> httpx.Response:
    body = {"current_password": user["password"], "new_password": NEW}
    return client.put("/users/me/password", json=body, headers={"Authorization": f"Bearer {token}"})


def delivered(master: Connection, token: str) -> list[bool]:
    statement = 'SELECT delivered_at IS NOT NULL FROM cache_invalidations WHERE "key" = %s'
    return [bool(row[0]) for row in master.execute(statement, [key_of(token)]).fetchall()]


def test_every_other_session_is_refused_by_every_worker_and_the_present_one_goes_on(
    workers: list[httpx.Client], tokens: list[str], user: dict[str, str], master: Connection
) -> None:
    changed = change(workers[0], tokens[0], user)
    assert (changed.status_code, changed.content) == (204, b"")
    assert [statuses(workers, token) for token in tokens] == [[200, 200], [401, 401], [401, 401]]
    assert [delivered(master, token) for token in tokens] == [[], [True], [True]]


def test_sessions_of_other_users_go_on(
    workers: list[httpx.Client], tokens: list[str], user: dict[str, str], app: WSGIApplication
) -> None:
    somebody_else = log_in(app, OPERATOR)
    assert change(workers[0], tokens[0], user).status_code == 204
    assert statuses(workers, somebody_else) == [200, 200]


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_without_the_cache_the_bound_is_stated_and_the_sessions_end_where_the_database_is_asked(
    workers: list[httpx.Client],
    tokens: list[str],
    user: dict[str, str],
    valkey: Valkey,
    relay: Relay,
    master: Connection,
    outage: str,
) -> None:
    if outage == "killed":
        valkey.kill()
        changed = change(workers[0], tokens[0], user)
        others = [statuses(workers, token) for token in tokens[1:]]
    else:
        with frozen(valkey):
            changed = change(workers[0], tokens[0], user)
            others = [statuses(workers, token) for token in tokens[1:]]
    assert (changed.status_code, changed.json()) == (202, {"holds_within_seconds": 122})
    assert changed.headers["X-Invalidation"] == "pending"
    assert others == [[401, 401]] * 2
    valkey.start()
    relay.run_once()
    until_cached(workers[0], "/products/1")
    assert [statuses(workers, token) for token in tokens] == [[200, 200], [401, 401], [401, 401]]
    assert [delivered(master, token) for token in tokens[1:]] == [[True], [True]]


def test_cached_session_whose_end_was_pending_is_forgotten_by_the_relay(
    workers: list[httpx.Client],
    tokens: list[str],
    user: dict[str, str],
    valkey: Valkey,
    cache: redis.Redis,
    relay: Relay,
) -> None:
    before = cache.get(key_of(tokens[1]))
    assert isinstance(before, bytes)
    valkey.kill()
    assert change(workers[0], tokens[0], user).status_code == 202
    valkey.start()
    cache.set(key_of(tokens[1]), before, px=60_000)
    relay.run_once()
    assert not cache.exists(key_of(tokens[1]))
    until_cached(workers[0], "/products/1")
    assert statuses(workers, tokens[1]) == [401, 401]


def test_change_that_ends_no_session_asks_nothing_of_the_cache(
    workers: list[httpx.Client], user: dict[str, str], app: WSGIApplication, valkey: Valkey
) -> None:
    token = log_in(app, user)
    valkey.kill()
    assert change(workers[0], token, user).status_code == 204


@pytest.mark.parametrize(
    "gone", ["DELETE FROM users WHERE username = %s", "UPDATE users SET role = NULL WHERE username = %s"]
)
def test_user_who_is_gone_is_not_logged_in_and_no_password_was_refused(
    client: httpx.Client,
    tokens: list[str],
    user: dict[str, str],
    master: Connection,
    caplog: pytest.LogCaptureFixture,
    gone: str,
) -> None:
    """Their session stays cached for minutes when somebody changes them past the app."""
    master.execute(gone, [user["username"]])
    assert change(client, tokens[0], user).status_code == 401
    assert change(client, tokens[0], {"password": "a guess"}).status_code == 401
    assert [json.loads(record.message)["event"] for record in caplog.get_records("call")] == ["refused", "refused"]
