"""A role, or a user, that is taken away: no session of it lets anybody in, and no write of it commits."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from local.engines import Valkey
from tests.storefront.clients import bearer, log_in, until_cached, wait_until
from tests.storefront.sql import Connection, SqlEngine, connect
from tests.storefront.writes import CHAIR, WRITES, contents, key_of

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

NewUser = Callable[[], dict[str, str]]


@pytest.fixture
def second(client: httpx.Client, operator: httpx.Client, new_user: NewUser, relay: Relay) -> dict[str, str]:
    """The credentials of a second operator."""
    relay.run_once()
    user = new_user()
    assert operator.put(f"/users/{user['username']}/role", json={"role": "operator"}).status_code == 204
    return user


@pytest.fixture
def cached(client: httpx.Client, app: WSGIApplication, cache: redis.Redis, second: dict[str, str]) -> list[str]:
    """The tokens of three sessions of the second operator, all of them cached."""
    tokens = [log_in(app, second) for _ in range(3)]
    for token in tokens:
        wait_until(lambda token=token: status(client, token) == 200 and bool(cache.exists(key_of(token))))  # type: ignore[misc]
    return tokens


def status(client: httpx.Client, token: str) -> int:
    return client.get("/sessions/current", headers=bearer(token)).status_code


def rows(master: Connection, token: str) -> list[bool]:
    """Whether each outbox row of the session is delivered."""
    statement = 'SELECT delivered_at IS NOT NULL FROM cache_invalidations WHERE "key" = %s'
    return [bool(row[0]) for row in master.execute(statement, [key_of(token)]).fetchall()]


@pytest.mark.attack(
    "use a cached session after the role was taken away", "401: all cached sessions are deleted with the change"
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_all_cached_sessions_end_with_the_role_by_one_write(
    operator: httpx.Client,
    cached: list[str],
    second: dict[str, str],
    cache: redis.Redis,
    master: Connection,
    method: str,
) -> None:
    body = {"json": {"role": "customer"}} if method == "PUT" else {}
    ended = operator.request(method, f"/users/{second['username']}/role", **body)  # type: ignore[arg-type]
    assert ended.status_code == 204
    assert [cache.exists(key_of(token)) for token in cached] == [0, 0, 0]
    assert [status(operator, token) for token in cached] == [401] * 3
    assert [rows(master, token) for token in cached] == [[True]] * 3


def test_customer_is_what_whoever_was_an_operator_logs_in_as(
    operator: httpx.Client, app: WSGIApplication, second: dict[str, str]
) -> None:
    operator.put(f"/users/{second['username'].upper()}/role", json={"role": "customer"})
    headers = bearer(log_in(app, second))
    assert operator.get("/sessions/current", headers=headers).json()["role"] == "customer"
    assert operator.post("/products", json=CHAIR, headers=headers).status_code == 403


def test_disabled_user_cannot_log_in_until_given_a_role_again(client: httpx.Client, second: dict[str, str]) -> None:
    path = f"/users/{second['username']}/role"
    assert client.delete(path).status_code == 204
    refused = client.post("/sessions", json=second)
    assert (refused.status_code, refused.json()["detail"]) == (401, "No user has this name and password.")
    assert client.put(path, json={"role": "customer"}).status_code == 204
    assert client.post("/sessions", json=second).status_code == 201


def test_role_that_the_user_has_already_ends_nothing(
    operator: httpx.Client, cached: list[str], second: dict[str, str]
) -> None:
    assert operator.put(f"/users/{second['username']}/role", json={"role": "operator"}).status_code == 204
    assert [status(operator, token) for token in cached] == [200] * 3


@pytest.mark.parametrize("name", ["nobody-of-this-name", "a%20b", "%00", "me"])
def test_unknown_user_is_not_found(operator: httpx.Client, name: str) -> None:
    assert operator.put(f"/users/{name}/role", json={"role": "customer"}).status_code == 404
    assert operator.delete(f"/users/{name}/role").status_code == 404


def test_operator_cannot_change_their_own_role(operator: httpx.Client) -> None:
    refused = operator.delete("/users/OPERATOR/role")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "You cannot change your own role: ask another operator.",
    )


def test_end_that_the_cache_did_not_hear_of_is_pending_and_the_relay_delivers_it(
    operator: httpx.Client,
    cached: list[str],
    second: dict[str, str],
    valkey: Valkey,
    cache: redis.Redis,
    relay: Relay,
    master: Connection,
) -> None:
    before = cache.get(key_of(cached[0]))
    assert isinstance(before, bytes)
    valkey.kill()
    pending = operator.delete(f"/users/{second['username']}/role")
    assert (pending.status_code, pending.headers["X-Invalidation"]) == (202, "pending")
    assert pending.json() == {"holds_within_seconds": 122}
    valkey.start()
    cache.set(key_of(cached[0]), before, px=60_000)
    relay.run_once()
    assert [rows(master, token) for token in cached] == [[True]] * 3
    until_cached(operator, "/products/1")
    assert [status(operator, token) for token in cached] == [401] * 3


@pytest.mark.attack(
    "write with a session that stayed cached although user or role are gone",
    "401, and nothing changes: every write checks both in its own transaction",
)
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("taken", ["UPDATE users SET role = 'customer'", "UPDATE users SET role = NULL", "deleted"])
def test_write_with_a_cached_session_whose_role_is_gone_is_refused_and_changes_nothing(
    client: httpx.Client,
    operator: httpx.Client,
    product: str,
    cached: list[str],
    second: dict[str, str],
    master: Connection,
    write: str,
    taken: str,
) -> None:
    """As if somebody had changed the user past the app: the session stays cached for ten minutes."""
    operator.put(f"{product}/inventory", json={"available": 50})
    statement = "DELETE FROM users" if taken == "deleted" else taken
    master.execute(f"{statement} WHERE username = %s", [second["username"]])
    before = contents(master)
    assert status(client, cached[0]) == 200
    client.headers.update(bearer(cached[0]))
    assert WRITES[write](client, product).status_code == 401
    assert contents(master) == before


@pytest.mark.parametrize("end", ["role", "logout"])
def test_write_that_began_before_the_session_ended_is_waited_for(
    operator: httpx.Client,
    app: WSGIApplication,
    cached: list[str],
    second: dict[str, str],
    product: str,
    master: Connection,
    engine: SqlEngine,
    end: str,
) -> None:
    """No write commits after the end of role or session was acknowledged."""
    number = product.removeprefix("/products/")

    def take() -> httpx.Response:
        if end == "role":
            return operator.delete(f"/users/{second['username']}/role")
        return operator.delete("/sessions/current", headers=bearer(cached[0]))

    with ThreadPoolExecutor(2) as pool:
        with connect(engine, "storefront") as holder, holder.transaction():
            holder.execute("SELECT 1 FROM products WHERE id = %s FOR UPDATE", [number])
            transport = httpx.WSGITransport(app=app)
            writer = httpx.Client(transport=transport, base_url="http://storefront", headers=bearer(cached[0]))
            written = pool.submit(writer.put, product, json=CHAIR)
            wait_until(lambda: waiting_for(master) == 1)
            taken = pool.submit(take)
            wait_until(lambda: waiting_for(master) == 2)
            assert not taken.done()
        assert (written.result().status_code, taken.result().status_code) == (200, 204)
    assert writer.put(product, json=CHAIR).status_code == 401
    writer.close()


def waiting_for(master: Connection) -> int:
    return len(master.waiting_for_a_lock("storefront_app"))


@pytest.mark.attack("leave a shop without an operator: two disable each other at once", "one of them is left")
def test_of_two_operators_who_disable_each_other_one_is_left(
    operator: httpx.Client, app: WSGIApplication, second: dict[str, str], new_user: NewUser
) -> None:
    for _ in range(5):
        pair = [second, new_user()]
        for user in pair:
            operator.put(f"/users/{user['username']}/role", json={"role": "operator"})
        tokens = [log_in(app, user) for user in pair]

        def disable(me: int, tokens: list[str] = tokens, pair: list[dict[str, str]] = pair) -> int:
            with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as client:
                path = f"/users/{pair[1 - me]['username']}/role"
                return client.delete(path, headers=bearer(tokens[me])).status_code

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(disable, range(2))) == [204, 401]
