"""Feature flags over HTTP; flags.json of the release has declared them."""

import httpx
import pytest
import redis

from cache_aside import Relay
from local.engines import Valkey
from tests.storefront.clients import until_cached
from tests.storefront.sql import Connection, SqlEngine

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

PATH = "/flags/of-the-tests"
ON = {"enabled": True, "rollout_percent": 50}


@pytest.fixture(autouse=True)
def declared(client: httpx.Client, master: Connection, cache: redis.Redis) -> None:
    """A flag that is off, and not cached."""
    master.execute("DELETE FROM flags WHERE name = 'of-the-tests'")
    master.execute("INSERT INTO flags (name, enabled, rollout_percent) VALUES ('of-the-tests', false, 0)")
    cache.delete("flag:of-the-tests")


def test_flag_is_missed_then_hit_by_anyone(client: httpx.Client) -> None:
    first, second = client.get(PATH), client.get(PATH)
    assert [answer.headers["X-Cache"] for answer in (first, second)] == ["MISS", "HIT"]
    assert first.json() == second.json() == {"name": "of-the-tests", "enabled": False, "rollout_percent": 0}


def test_flag_of_this_release_is_there(client: httpx.Client) -> None:
    assert client.get("/flags/express-checkout").json()["name"] == "express-checkout"


def test_whoever_has_the_flag_already_is_told_so(client: httpx.Client, operator: httpx.Client) -> None:
    tag = client.get(PATH).headers["ETag"]
    known = client.get(PATH, headers={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")
    operator.put(PATH, json=ON)
    assert client.get(PATH, headers={"If-None-Match": tag}).status_code == 200


def test_change_is_seen_by_the_next_read(operator: httpx.Client) -> None:
    operator.get(PATH)
    changed = operator.put(PATH, json=ON)
    assert (changed.status_code, changed.json()) == (200, {"name": "of-the-tests", **ON})
    assert "X-Invalidation" not in changed.headers
    answer = operator.get(PATH)
    assert (answer.headers["X-Cache"], answer.json()) == ("MISS", changed.json())


@pytest.mark.parametrize("percent", ["50", "50.0", "5e1"])
def test_whole_number_is_one_however_it_is_written(operator: httpx.Client, percent: str) -> None:
    body = f'{{"enabled":true,"rollout_percent":{percent}}}'.encode()
    changed = operator.put(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (changed.status_code, changed.json()) == (200, {"name": "of-the-tests", **ON})


def test_cached_flag_lives_two_minutes_and_for_an_outage_an_hour_longer(
    client: httpx.Client, cache: redis.Redis
) -> None:
    client.get(PATH)
    assert 3600 < cache.ttl("flag:of-the-tests") <= 3600 + 120


def test_flag_that_no_deployment_declared_is_not_found_and_cannot_be_made(operator: httpx.Client) -> None:
    missing = [operator.get("/flags/undeclared") for _ in range(2)]
    assert [(answer.status_code, answer.headers["X-Cache"]) for answer in missing] == [(404, "MISS"), (404, "HIT")]
    assert operator.put("/flags/undeclared", json=ON).status_code == 404
    assert operator.get("/flags/undeclared").status_code == 404


def test_what_cannot_name_a_flag_is_not_found_without_a_query(operator: httpx.Client, engine: SqlEngine) -> None:
    names = ["A", "-a", "a b", "a%00", "a%0A", "ä", "x" * 65, "%20a", "a%2Fb"]
    assert {operator.put(f"/flags/{name}", json=ON).status_code for name in names} == {404}
    engine.kill()
    assert {operator.get(f"/flags/{name}").status_code for name in names} == {404}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"enabled": True},
        {"rollout_percent": 5},
        {**ON, "enabled": 1},
        {**ON, "enabled": "true"},
        {**ON, "rollout_percent": -1},
        {**ON, "rollout_percent": 101},
        {**ON, "rollout_percent": 0.5},
        {**ON, "rollout_percent": "50"},
        {**ON, "rollout_percent": None},
    ],
)
def test_flag_of_another_shape_is_unprocessable(operator: httpx.Client, body: dict[str, object]) -> None:
    assert operator.put(PATH, json=body).status_code == 422


def test_change_without_the_cache_is_pending_and_the_relay_delivers_it(
    operator: httpx.Client, valkey: Valkey, relay: Relay, master: Connection
) -> None:
    valkey.kill()
    assert operator.put(PATH, json=ON).headers["X-Invalidation"] == "pending"
    assert operator.get(PATH).json()["enabled"]
    valkey.start()
    assert relay.run_once().delivered >= 1
    until_cached(operator, PATH)
    assert operator.get(PATH).json()["enabled"]


def test_last_value_known_is_served_while_the_database_is_down(
    client: httpx.Client, engine: SqlEngine, cache: redis.Redis
) -> None:
    known = client.get(PATH)
    engine.kill()
    assert client.get(PATH).text == known.text
    cache.delete("flag:of-the-tests")
    assert client.get(PATH).status_code == 503
