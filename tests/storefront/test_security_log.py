"""The security log: every event is written when it happens, and none of it helps whoever reads it to get in."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from storefront.security_log import Kind
from tests.storefront.abuse.test_forged_sessions import content, envelope
from tests.storefront.clients import bearer, log_in, wait_until
from tests.storefront.deployment import OPERATOR
from tests.storefront.sql import Connection
from tests.storefront.writes import key_of

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

NewUser = Callable[[], dict[str, str]]
GUESS = "what somebody guesses"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """The lines since it was last asked, as the filters in AWS see them."""

    def lines() -> list[dict[str, Any]]:
        records = [record for record in caplog.records if record.name == "storefront.security_log"]
        found = [json.loads(record.getMessage()) for record in records]
        for record, line in zip(records, found, strict=True):
            assert line.items() <= vars(record).items(), "beside the message, too"
        caplog.clear()
        return found

    return lines


Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def user(new_user: NewUser, client: httpx.Client, log: Log) -> dict[str, str]:
    """The credentials of a new customer."""
    made = new_user()
    log()
    return made


def test_refused_password_names_the_user_only_if_there_is_one(client: httpx.Client, log: Log) -> None:
    client.post("/sessions", json={"username": OPERATOR["username"].upper(), "password": GUESS})
    client.post("/sessions", json={"username": "my secret, in the wrong field", "password": GUESS})
    refused = {"event": "password_refused", "operation": "POST /sessions"}
    assert log() == [{**refused, "user": "operator"}, refused]


def test_login_and_changed_password_name_the_user(client: httpx.Client, user: dict[str, str], log: Log) -> None:
    """After refused ones, the first shows that a guess was right."""
    token = client.post("/sessions", json={**user, "username": user["username"].upper()}).json()["token"]
    body = {"current_password": user["password"], "new_password": "another password"}
    assert client.put("/users/me/password", json=body, headers=bearer(token)).status_code == 204
    name = user["username"]
    assert log() == [
        {"event": "logged_in", "user": name, "role": "customer"},
        {"event": "password_changed", "user": name, "by": name},
    ]


def test_refused_password_of_a_password_change(client: httpx.Client, user: dict[str, str], log: Log) -> None:
    token = client.post("/sessions", json=user).json()["token"]
    body = {"current_password": GUESS, "new_password": "another password"}
    assert client.put("/users/me/password", json=body, headers=bearer(token)).status_code == 403
    _, line = log()
    assert line == {"event": "password_refused", "user": user["username"], "operation": "PUT /users/me/password"}


def test_deletion_and_other_writes_that_a_role_does_not_allow(customer: httpx.Client, log: Log) -> None:
    log()
    name = customer.get("/sessions/current").json()["username"]
    assert customer.delete("/products/1").status_code == 403
    assert customer.post("/users", json={}).status_code == 403
    operations = ["DELETE /products/{product_id}", "POST /users"]
    assert log() == [{"event": "refused", "user": name, "operation": operation} for operation in operations]


def test_token_of_no_session_is_recorded_and_no_token_is_not(client: httpx.Client, log: Log) -> None:
    assert client.get("/sessions/current").status_code == 401
    assert log() == []
    assert client.get("/sessions/current", headers=bearer("a-guessed-token")).status_code == 401
    assert log() == [{"event": "refused", "operation": "GET /sessions/current"}]


@pytest.mark.parametrize("gone", ["UPDATE users SET role = NULL", "DELETE FROM users"])
def test_write_of_a_user_who_is_disabled_or_deleted_while_cached(
    client: httpx.Client,
    user: dict[str, str],
    cache: redis.Redis,
    relay: Relay,
    master: Connection,
    log: Log,
    gone: str,
) -> None:
    relay.run_once()
    token = client.post("/sessions", json=user).json()["token"]
    headers = bearer(token)
    wait_until(
        lambda: client.get("/sessions/current", headers=headers).is_success and bool(cache.exists(key_of(token)))
    )
    master.execute(f"{gone} WHERE username = %s", [user["username"]])
    log()
    assert client.post("/products/1/purchases", json={"quantity": 1}, headers=headers).status_code == 401
    purchase = "POST /products/{product_id}/purchases"
    assert log() == [{"event": "refused", "user": user["username"], "operation": purchase}]


def test_own_role_that_an_operator_may_not_take_away(operator: httpx.Client, log: Log) -> None:
    assert operator.delete("/users/operator/role").status_code == 409
    assert log() == [{"event": "refused", "user": "operator", "operation": "DELETE /users/{username}/role"}]


def test_new_users_and_what_becomes_of_their_roles(operator: httpx.Client, log: Log, new_user: NewUser) -> None:
    log()
    name = new_user()["username"]
    path = f"/users/{name}/role"
    for role in ("operator", "operator", "customer"):
        assert operator.put(path, json={"role": role}).status_code == 204
    assert operator.delete(path).status_code == 204
    assert operator.delete(path).status_code == 204
    assert operator.put(path, json={"role": "customer"}).status_code == 204
    about = {"user": name, "by": "operator"}
    assert log() == [
        {"event": "user_created", **about, "role": "customer"},
        {"event": "role_changed", **about, "role": "operator", "previous_role": "customer"},
        {"event": "role_changed", **about, "role": "customer", "previous_role": "operator"},
        {"event": "user_disabled", **about, "previous_role": "customer"},
        {"event": "role_changed", **about, "role": "customer"},
    ]


def test_user_who_was_not_made_is_not_recorded(operator: httpx.Client, user: dict[str, str], log: Log) -> None:
    taken = operator.post("/users", json={**user, "role": "operator"})
    assert (taken.status_code, log()) == (409, [])


def test_session_that_somebody_else_wrote_into_the_cache(
    client: httpx.Client, app: WSGIApplication, cache: redis.Redis, relay: Relay, log: Log
) -> None:
    relay.run_once()
    token = log_in(app, OPERATOR)
    wait_until(
        lambda: client.get("/sessions/current", headers=bearer(token)).is_success and bool(cache.exists(key_of(token)))
    )
    seen = list[dict[str, str]]()

    def read() -> bool:
        """Whether it has met the entry: on a busy machine a read may go past the cache."""
        assert client.get("/sessions/current", headers=bearer(token)).status_code == 200
        seen.extend(log())
        return bool(seen)

    for forged in (content(cache, token).replace(b'"seal":"', b'"seal":"AAAA'), b""):
        log()
        seen.clear()
        cache.set(key_of(token), envelope(token, forged), px=60_000)
        wait_until(read)
        assert seen == [{"event": "seal_broken"}]


@pytest.mark.attack("read passwords, tokens or ids of sessions in the app's log", "none are there")
def test_nothing_in_the_log_is_a_password_a_token_or_the_id_of_a_session(
    client: httpx.Client, cache: redis.Redis, caplog: pytest.LogCaptureFixture, operator: httpx.Client, token: str
) -> None:
    """All kinds of events, and all that the app logs with them."""
    secrets = [OPERATOR["password"], GUESS, "a new password", "a-guessed-token", token]
    client.post("/sessions", json={"username": GUESS, "password": GUESS})
    client.post("/sessions", json={"username": "operator", "password": GUESS})
    client.get("/sessions/current", headers=bearer("a-guessed-token"))
    name = "somebody-new-in-the-log"
    client.post("/users", json={"username": name, "password": "a new password", "role": "operator"})
    session = client.post("/sessions", json={"username": name, "password": "a new password"}).json()["token"]
    body = {"current_password": "a new password", "new_password": "a newer password"}
    client.put("/users/me/password", json=body, headers=bearer(session))
    secrets += ["a newer password", session]
    client.put(f"/users/{name}/role", json={"role": "customer"})
    client.delete(f"/users/{name}/role")
    cache.set(key_of(token), b"nonsense")
    own = client.post("/sessions", json=OPERATOR).json()["token"]
    client.delete("/sessions/current", headers=bearer(own))
    client.delete("/sessions/current", headers=bearer(own))
    written = {str(vars(record)) + record.getMessage() for record in caplog.records}
    kinds = {getattr(record, "event", None) for record in caplog.records}
    assert kinds >= set(Kind) - {Kind.SEAL_BROKEN}, "of which the test above holds every word"
    hashes = [hashlib.sha256(secret.encode()).hexdigest() for secret in (*secrets, own)]
    assert [secret for secret in (*secrets, own, *hashes) for line in written if secret in line] == []
