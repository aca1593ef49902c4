"""The products that sell best: an aggregation over all purchases, cached for 45 seconds."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from wsgiref.types import WSGIApplication

import httpx
import msgspec
import pytest
import redis

from cache_aside import EmbeddedMetrics
from local.engines import Valkey
from storefront.bootstrap import build_app
from storefront.entities import Bestseller
from storefront.policies import LEADERBOARD, LEADERBOARD_KEY, LEADERBOARD_SIZE
from storefront.settings import Settings
from tests.storefront.counting import commands_of
from tests.storefront.deployment import migrate
from tests.storefront.sql import Connection, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


@pytest.fixture(autouse=True)
def _expired(client: httpx.Client, cache: redis.Redis) -> None:
    """What its TTL does to it, at once."""
    cache.delete(LEADERBOARD_KEY)


@pytest.fixture
def best(operator: httpx.Client, product: str, cache: redis.Redis) -> str:
    """The path of the product that sells best, of which a thousand units more were sold than of any other."""
    most = operator.get("/leaderboard", params={"limit": 1}).json()[0]["units_sold"]
    operator.put(f"{product}/inventory", json={"available": most + 2000})
    for quantity in [1000] * (most // 1000 + 1) + [most % 1000 or 1]:
        assert operator.post(f"{product}/purchases", json={"quantity": quantity}).status_code == 201
    cache.delete(LEADERBOARD_KEY)
    return product


def test_sample_sales_make_a_list_of_ten_most_sold_first(client: httpx.Client) -> None:
    answer = client.get("/leaderboard")
    ranked = answer.json()
    assert (answer.status_code, len(ranked)) == (200, 10)
    assert ranked[0].keys() == {"product_id", "name", "units_sold"}
    units = [row["units_sold"] for row in ranked]
    assert units == sorted(units, reverse=True)
    assert units[0] > 2 * units[-1]


def test_units_are_those_of_all_purchases(client: httpx.Client, master: Connection) -> None:
    first = client.get("/leaderboard").json()[0]
    sold = master.execute("SELECT sum(quantity) FROM purchases WHERE product_id = %s", [first["product_id"]])
    assert sold.fetchone() == (first["units_sold"],)


def test_it_is_missed_then_hit_with_the_same_body(client: httpx.Client) -> None:
    first, second = client.get("/leaderboard"), client.get("/leaderboard")
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("MISS", "HIT")
    assert first.content == second.content
    assert client.get("/leaderboard", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


def test_lists_of_every_length_are_one_load(client: httpx.Client, cache: redis.Redis) -> None:
    whole = client.get("/leaderboard", params={"limit": LEADERBOARD_SIZE})
    assert whole.headers["X-Cache"] == "MISS"

    def read() -> None:
        for limit in (1, 2, 10, 99):
            cut = client.get("/leaderboard", params={"limit": limit})
            assert (cut.headers["X-Cache"], cut.json()) == ("HIT", whole.json()[:limit])

    assert commands_of(cache, read) == {"get": 4}


def test_purchase_is_seen_when_the_ttl_has_passed_and_not_before(
    operator: httpx.Client, best: str, cache: redis.Redis
) -> None:
    before = operator.get("/leaderboard").json()[0]
    assert f"/products/{before['product_id']}" == best
    operator.post(f"{best}/purchases", json={"quantity": 7})
    assert operator.get("/leaderboard").json()[0] == before
    assert 0 < cache.ttl(LEADERBOARD_KEY) <= 45
    cache.delete(LEADERBOARD_KEY)
    assert operator.get("/leaderboard").json()[0]["units_sold"] == before["units_sold"] + 7


def test_deleted_product_is_left_out(operator: httpx.Client, best: str) -> None:
    assert operator.delete(best).status_code == 204
    listed = operator.get("/leaderboard", params={"limit": 100}).json()
    assert best not in [f"/products/{row['product_id']}" for row in listed]


def test_fifty_readers_of_an_expired_list_are_one_load(settings: Settings, client: httpx.Client) -> None:
    loads: list[str] = []

    class Ear(EmbeddedMetrics):
        def on_event(self, policy: str, event: str, seconds: float) -> None:
            loads.extend([policy] if event == "LOAD" else [])

    app = build_app(settings, observer=Ear())

    def read(_: int) -> str:
        with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as reader:
            return reader.get("/leaderboard").headers["X-Cache"]

    with ThreadPoolExecutor(50) as pool:
        served = list(pool.map(read, range(50)))
    assert (served.count("MISS"), served.count("JOINED") + served.count("HIT")) == (1, 49)
    assert loads == ["leaderboard"]


def test_policy_keeps_the_list_for_less_than_a_minute_whatever_breaks() -> None:
    # XFetch only shortens; the load's own time, and that of one that it joined, is all that comes on top of the TTL.
    assert callable(LEADERBOARD.ttl_seconds) is False
    lifetime = LEADERBOARD.lifetime_seconds([]) + LEADERBOARD.stale_if_error_seconds
    assert lifetime + 2 * LEADERBOARD.load_timeout_seconds <= 60
    assert LEADERBOARD.early_refresh_beta == 1


def test_longest_names_fit_into_the_cache() -> None:
    longest = [Bestseller(2**63 - 1, "\x01" * 200, 2**63 - 1)] * LEADERBOARD_SIZE
    envelope = LEADERBOARD.codec.encode(LEADERBOARD_KEY, longest, expires=time.time(), load_seconds=1)
    assert len(envelope) < LEADERBOARD.max_bytes
    assert len(msgspec.json.encode(longest)) > 64 * 1024


def test_without_sales_the_list_is_empty_and_cached(
    client: httpx.Client, settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(sample_data="false")
    app = build_app(replace(settings, database_name=database, database_user=database))
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as empty:
        answers = [empty.get("/leaderboard") for _ in range(2)]
    assert [(answer.json(), answer.headers["X-Cache"]) for answer in answers] == [([], "MISS"), ([], "HIT")]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "many", "", "1.5", "true", "99999999999999999999"])
def test_limit_out_of_bounds_is_refused(client: httpx.Client, limit: str) -> None:
    assert client.get("/leaderboard", params={"limit": limit}).status_code == 422


def test_cache_down_is_a_bypass(app: WSGIApplication, client: httpx.Client, valkey: Valkey) -> None:
    valkey.kill()
    answer = client.get("/leaderboard")
    assert (answer.status_code, answer.headers["X-Cache"], len(answer.json())) == (200, "BYPASS", 10)


def test_cache_down_is_one_aggregation_at_a_time_for_all_that_wait(
    app: WSGIApplication, recorded: httpx.Client, statements: list[str], valkey: Valkey, engine: SqlEngine
) -> None:
    valkey.kill()
    arrived = threading.Barrier(17)

    def read(_: int) -> httpx.Response:
        arrived.wait()
        return recorded.get("/leaderboard")

    with ThreadPoolExecutor(16) as pool, connect(engine, "storefront") as holder:
        with holder.locked("purchases"):
            answers = [pool.submit(read, number) for number in range(16)]
            arrived.wait()
            time.sleep(0.5)  # for those that come late: each would be an aggregation more
        assert {answer.result().headers["X-Cache"] for answer in answers} == {"BYPASS", "JOINED"}
    added_up = [statement for statement in statements if "SUM(quantity)" in statement]
    assert len(added_up) == 2, "for the first, and for all who came while that one ran"


def test_all_that_waited_in_vain_are_told_and_the_next_one_is_served(recorded: httpx.Client, engine: SqlEngine) -> None:
    with connect(engine, "storefront") as holder, holder.locked("purchases"), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: recorded.get("/leaderboard"), range(8)))
    assert {answer.status_code for answer in answers} == {503}
    assert recorded.get("/leaderboard").status_code == 200


def test_database_down_leaves_what_is_cached_and_nothing_else(
    client: httpx.Client, cache: redis.Redis, engine: SqlEngine
) -> None:
    client.get("/leaderboard")
    engine.kill()
    assert client.get("/leaderboard").headers["X-Cache"] == "HIT"
    cache.delete(LEADERBOARD_KEY)
    refused = client.get("/leaderboard")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
