"""Users and their passwords over HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import WSGIApplication

import httpx
import pytest

from storefront.passwords import Passwords
from tests.storefront.clients import bearer, log_in
from tests.storefront.sql import Connection

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

NewUser = Callable[[], dict[str, str]]
NEW = "a new pässword"


def change(client: httpx.Client, token: str, current: str, new: str = NEW) -> httpx.Response:
    body = {"current_password": current, "new_password": new}
    return client.put("/users/me/password", json=body, headers=bearer(token))


def test_operator_makes_a_customer_who_can_log_in_and_is_told_who_they_are(operator: httpx.Client) -> None:
    ada = {"username": "ada@example.com", "password": "correct horse"}
    created = operator.post("/users", json={**ada, "role": "customer"})
    assert (created.status_code, created.json()) == (201, {"username": "ada@example.com", "role": "customer"})
    token = operator.post("/sessions", json=ada).json()["token"]
    me = operator.get("/sessions/current", headers=bearer(token))
    assert (me.json()["username"], me.json()["role"]) == ("ada@example.com", "customer")


def test_name_that_is_taken_is_a_conflict_and_changes_nothing(
    operator: httpx.Client, app: WSGIApplication, new_user: NewUser
) -> None:
    credentials = new_user()
    taken = {"username": credentials["username"], "password": "another password", "role": "operator"}
    assert operator.post("/users", json=taken).status_code == 409
    me = operator.get("/sessions/current", headers=bearer(log_in(app, credentials)))
    assert me.json()["role"] == "customer"


@pytest.mark.every_engine
def test_one_of_many_who_want_a_name_at_once_gets_it(app: WSGIApplication, token: str) -> None:
    user = {"username": "wanted", "password": "a password", "role": "customer"}

    def create(_: int) -> int:
        with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as client:
            return client.post("/users", json=user, headers=bearer(token)).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, range(4))) == [201, 409, 409, 409]


@pytest.mark.attack("register a name that differs in case only", "names are stored in lower case; it is taken")
def test_names_that_differ_in_case_only_are_one(operator: httpx.Client, app: WSGIApplication) -> None:
    grace = {"username": "Grace@Example.com", "password": "a password", "role": "customer"}
    assert operator.post("/users", json=grace).json()["username"] == "grace@example.com"
    for spelled in ("grace@example.com", "GRACE@EXAMPLE.COM"):
        assert operator.post("/users", json=grace | {"username": spelled}).status_code == 409
        token = log_in(app, {"username": spelled, "password": grace["password"]})
        current = operator.get("/sessions/current", headers=bearer(token))
        assert current.json()["username"] == "grace@example.com"


@pytest.mark.parametrize(
    "given",
    [
        {"username": ""},
        {"username": " ada"},
        {"username": "ada "},
        {"username": "ada\n"},
        {"username": "ada\x00"},
        {"username": "ada lovelace"},
        {"username": "ädä"},
        {"username": ".ada"},
        {"username": "x" * 101},
        {"password": "seven77"},
        {"password": "x" * 1025},
        {"role": "admin"},
        {"role": "OPERATOR"},
        {"role": None},
        {"username": None},
        {"password": 12345678},
    ],
)
def test_user_of_another_shape_is_unprocessable(operator: httpx.Client, given: dict[str, object]) -> None:
    proper = {"username": "shapely", "password": "a password", "role": "customer"}
    assert operator.post("/users", json=proper | given).status_code == 422


def test_new_password_replaces_the_old_one(client: httpx.Client, app: WSGIApplication, new_user: NewUser) -> None:
    user = new_user()
    assert change(client, log_in(app, user), user["password"]).status_code == 204
    assert client.post("/sessions", json=user).status_code == 401
    assert client.post("/sessions", json={**user, "password": NEW}).status_code == 201


def test_wrong_current_password_changes_nothing(client: httpx.Client, app: WSGIApplication, new_user: NewUser) -> None:
    user = new_user()
    first, second = log_in(app, user), log_in(app, user)
    refused = change(client, first, "a guess")
    assert (refused.status_code, refused.json()["detail"]) == (403, "The current password is wrong.")
    assert client.get("/sessions/current", headers=bearer(second)).status_code == 200
    assert client.post("/sessions", json=user).status_code == 201


@pytest.mark.parametrize("new", ["", "seven77", "x" * 1025])
def test_new_password_has_8_to_1024_characters(client: httpx.Client, token: str, new: str) -> None:
    assert change(client, token, "a guess", new).status_code == 422


def test_of_two_changes_at_once_one_is_made(
    client: httpx.Client, app: WSGIApplication, new_user: NewUser, master: Connection
) -> None:
    user = new_user()
    tokens = [log_in(app, user) for _ in range(2)]

    def send(number: int) -> int:
        with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as worker:
            return change(worker, tokens[number], user["password"], f"{NEW} {number}").status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(send, range(2))) in ([204, 401], [204, 403])
    sessions = "SELECT count(*) FROM sessions JOIN users ON users.id = user_id WHERE username = %s"
    assert master.execute(sessions, [user["username"]]).fetchone() == (1,)


def test_login_with_the_old_password_that_ends_after_the_change_gives_no_session(
    client: httpx.Client, app: WSGIApplication, new_user: NewUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = new_user()
    token = log_in(app, user)

    def changed_meanwhile(_passwords: Passwords, _password: str, _stored: str | None) -> bool:
        monkeypatch.undo()
        assert change(client, token, user["password"]).status_code == 204
        return True

    monkeypatch.setattr(Passwords, "verify", changed_meanwhile)
    assert client.post("/sessions", json=user).status_code == 401
