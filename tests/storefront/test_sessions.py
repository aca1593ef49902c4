"""Logging in and out over HTTP."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from cache_aside import CacheAside
from storefront.bootstrap import connect_database
from storefront.database import Database
from storefront.errors import NotLoggedInError
from storefront.passwords import Passwords
from storefront.repositories.outbox import outbox_of
from storefront.repositories.sessions import SessionRepository
from storefront.services.sessions import LIFETIME, SessionService
from storefront.settings import Settings
from tests.storefront.deployment import OPERATOR
from tests.storefront.sql import Connection

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


def test_login_gives_a_token_that_works_until_logout(client: httpx.Client) -> None:
    created = client.post("/sessions", json=OPERATOR)
    assert created.status_code == 201
    assert created.headers["Cache-Control"] == "no-store"
    authorization = {"Authorization": f"bearer {created.json()['token']}"}
    current = client.get("/sessions/current", headers=authorization)
    assert current.status_code == 200
    expires_at = created.json()["expires_at"]
    assert current.json() == {"username": "operator", "role": "operator", "expires_at": expires_at}
    assert client.delete("/sessions/current", headers=authorization).status_code == 204
    assert client.get("/sessions/current", headers=authorization).status_code == 401
    assert client.delete("/sessions/current", headers=authorization).status_code == 401


def test_expiry_is_told_in_utc(client: httpx.Client) -> None:
    text = client.post("/sessions", json=OPERATOR).json()["expires_at"]
    assert text.endswith("Z")
    remaining = datetime.fromisoformat(text) - datetime.now(UTC)
    assert LIFETIME - timedelta(minutes=5) < remaining <= LIFETIME


@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "operator", "password": "wrong"},
        {"username": "nobody", "password": OPERATOR["password"]},
        {"username": "' OR 1=1 --", "password": "x"},
        {"username": "operator", "password": "a\x00b"},
    ],
)
def test_wrong_name_or_password_is_refused_with_the_same_words(
    client: httpx.Client, credentials: dict[str, str]
) -> None:
    refused = client.post("/sessions", json=credentials)
    assert refused.status_code == 401
    assert refused.json()["detail"] == "No user has this name and password."


@pytest.mark.parametrize(
    "body",
    [
        {"username": "operator"},
        {"username": "a\x00b", "password": "x"},
        {"username": "", "password": "x"},
        {"username": "operator", "password": ""},
        {"username": "operator", "password": "x" * 1025},
        {"username": "x" * 101, "password": "x"},
        {"username": 1, "password": 2},
    ],
)
def test_login_without_proper_fields_is_unprocessable(client: httpx.Client, body: dict[str, object]) -> None:
    assert client.post("/sessions", json=body).status_code == 422


def test_sessions_of_one_user_are_independent(client: httpx.Client) -> None:
    first, second = (client.post("/sessions", json=OPERATOR).json()["token"] for _ in range(2))
    client.delete("/sessions/current", headers={"Authorization": f"Bearer {first}"})
    assert client.get("/sessions/current", headers={"Authorization": f"Bearer {second}"}).status_code == 200


def test_token_is_not_stored(client: httpx.Client, master: Connection) -> None:
    token = client.post("/sessions", json=OPERATOR).json()["token"]
    stored = [row[0] for row in master.execute("SELECT token_hash FROM sessions").fetchall()]
    assert stored
    assert all(len(value) == 32 and token.encode() not in value for value in stored)


def test_session_ends_when_it_expires_and_the_next_login_removes_it(settings: Settings, master: Connection) -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)
    database = Database(lambda: connect_database(settings))
    bypassed = CacheAside.connect("localhost", 1)
    outbox = outbox_of(database, settings.engine)
    service = SessionService(SessionRepository(database), bypassed, outbox, Passwords(), clock=lambda: now)
    token, session = service.log_in(**OPERATOR)
    now = session.expires_at - timedelta(seconds=1)
    assert service.current(token) == session
    now = session.expires_at
    with pytest.raises(NotLoggedInError):
        service.current(token)
    service.log_in(**OPERATOR)
    expired = master.execute("SELECT count(*) FROM sessions WHERE expires_at <= %s", [now]).fetchone()
    assert expired == (0,)
