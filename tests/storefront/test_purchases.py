"""Buying: never more than there is."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from local.engines import Valkey
from storefront.policies import LEADERBOARD_KEY, session_key
from tests.storefront.clients import wait_until
from tests.storefront.counting import commands_of
from tests.storefront.sql import Connection, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

Buy = Callable[[str, Sequence[int]], list[httpx.Response]]


@pytest.fixture
def stocked(operator: httpx.Client, product: str) -> str:
    """The path of a product for 19.90 with 50 in stock."""
    operator.put(f"{product}/inventory", json={"available": 50})
    return product


@pytest.fixture
def cached_session(client: httpx.Client, token: str, relay: Relay, cache: redis.Redis) -> dict[str, str]:
    """The header of a session that is read from the cache, even if an earlier test has killed that."""
    header = {"Authorization": f"Bearer {token}"}
    key = session_key(hashlib.sha256(token.encode()).digest())
    relay.run_once()
    cache.delete(key)
    wait_until(lambda: client.get("/sessions/current", headers=header).is_success and bool(cache.exists(key)))
    return header


@pytest.fixture
def at_once(app: WSGIApplication, cached_session: dict[str, str]) -> Buy:
    """Buys these quantities of the product, all at the same time."""

    def buy(product: str, quantities: Sequence[int]) -> list[httpx.Response]:
        def one(quantity: int) -> httpx.Response:
            transport = httpx.WSGITransport(app=app)
            with httpx.Client(transport=transport, base_url="http://storefront", headers=cached_session) as buyer:
                return buyer.post(f"{product}/purchases", json={"quantity": quantity})

        with ThreadPoolExecutor(len(quantities)) as pool:
            return list(pool.map(one, quantities))

    return buy


def available(client: httpx.Client, product: str) -> int:
    """What is in stock."""
    return int(client.get(f"{product}/inventory").json()["available"])


def sold(master: Connection, product: str) -> list[int]:
    """The quantities of all recorded sales."""
    number = product.removeprefix("/products/")
    return [row[0] for row in master.execute("SELECT quantity FROM purchases WHERE product_id = %s", [number]).rows]


def test_purchase_takes_from_stock_and_costs_quantity_times_price(operator: httpx.Client, stocked: str) -> None:
    bought = operator.post(f"{stocked}/purchases", json={"quantity": 3})
    assert bought.status_code == 201
    assert bought.headers["Cache-Control"] == "no-store"
    assert '"quantity":3,"unit_price":19.90,"total":59.70}' in bought.text
    assert bought.json().keys() == {"id", "product_id", "quantity", "unit_price", "total"}
    assert f"/products/{bought.json()['product_id']}" == stocked
    assert available(operator, stocked) == 47


def test_customer_may_buy(operator: httpx.Client, stocked: str, customer: httpx.Client) -> None:
    assert customer.post(f"{stocked}/purchases", json={"quantity": 1}).status_code == 201


def test_more_than_there_is_is_refused_and_takes_nothing(
    operator: httpx.Client, stocked: str, master: Connection
) -> None:
    refused = operator.post(f"{stocked}/purchases", json={"quantity": 51})
    assert (refused.status_code, refused.json()["detail"]) == (409, "Not enough in stock.")
    assert (available(operator, stocked), sold(master, stocked)) == (50, [])
    assert operator.post(f"{stocked}/purchases", json={"quantity": 50}).status_code == 201


def test_product_that_never_had_stock_is_out_of_it(operator: httpx.Client, product: str) -> None:
    assert operator.post(f"{product}/purchases", json={"quantity": 1}).status_code == 409


def test_sixty_four_concurrent_purchases_of_fifty_sell_exactly_fifty(
    operator: httpx.Client, stocked: str, at_once: Buy, master: Connection, cache: redis.Redis
) -> None:
    answers = at_once(stocked, [1] * 64)
    assert Counter(answer.status_code for answer in answers) == {201: 50, 409: 14}
    assert (available(operator, stocked), len(sold(master, stocked))) == (0, 50)
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 50


def test_concurrent_purchases_of_several_each_sell_what_there_is_and_no_more(
    operator: httpx.Client, stocked: str, at_once: Buy, master: Connection
) -> None:
    quantities = [1, 2, 3, 4, 5, 6, 7, 8] * 4
    answers = at_once(stocked, quantities)
    taken = [quantity for quantity, answer in zip(quantities, answers, strict=True) if answer.status_code == 201]
    assert {answer.status_code for answer in answers} == {201, 409}
    assert sorted(sold(master, stocked)) == sorted(taken)
    assert available(operator, stocked) == 50 - sum(taken) < 8


def test_sales_are_on_the_leaderboard_once_it_is_read_anew(
    operator: httpx.Client, product: str, at_once: Buy, cache: redis.Redis
) -> None:
    operator.put(f"{product}/inventory", json={"available": 50_000})
    number = int(product.removeprefix("/products/"))

    def units() -> int:
        cache.delete(LEADERBOARD_KEY)
        listed = operator.get("/leaderboard", params={"limit": 100}).json()
        return next((row["units_sold"] for row in listed if row["product_id"] == number), 0)

    at_once(product, [1000] * 16)
    before = units()
    assert before == 16_000
    operator.put(f"{product}/inventory", json={"available": 50})
    at_once(product, [1] * 64)
    assert units() == before + 50


@pytest.mark.parametrize("quantity", [0, -1, 1001, 10**30, 1.5, True, "1", None])
def test_quantity_out_of_bounds_is_refused(operator: httpx.Client, stocked: str, quantity: object) -> None:
    assert operator.post(f"{stocked}/purchases", json={"quantity": quantity}).status_code == 422


@pytest.mark.parametrize("product_id", ["987654321", "0", "abc", "9223372036854775808"])
def test_unknown_product_is_not_sold(operator: httpx.Client, product_id: str) -> None:
    assert operator.post(f"/products/{product_id}/purchases", json={"quantity": 1}).status_code == 404


def test_buying_needs_a_session(client: httpx.Client) -> None:
    assert client.post("/products/1/purchases", json={"quantity": 1}).status_code == 401


@pytest.mark.usefixtures("cached_session")
def test_purchase_invalidates_nothing(
    operator: httpx.Client, stocked: str, cache: redis.Redis, master: Connection
) -> None:
    rows = "SELECT count(*) FROM cache_invalidations"
    before = master.execute(rows).fetchone()
    buy = lambda: operator.post(f"{stocked}/purchases", json={"quantity": 1})  # noqa: E731
    # The session of the buyer, and nothing else.
    assert commands_of(cache, buy) == {"get": 1}
    assert master.execute(rows).fetchone() == before


def test_death_between_recording_and_decrement_leaves_neither(
    operator: httpx.Client, stocked: str, at_once: Buy, master: Connection, engine: SqlEngine
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with connect(engine, "storefront") as holder, holder.transaction():
            lock = "SELECT available FROM inventory WHERE product_id = %s FOR UPDATE"
            holder.execute(lock, [stocked.removeprefix("/products/")])
            doomed = pool.submit(at_once, stocked, [2])
            wait_until(lambda: len(master.waiting_for_a_lock("storefront_app")) == 1)
            ((session, statement),) = master.waiting_for_a_lock("storefront_app").items()
            assert "UPDATE inventory" in statement
            master.end_session(session)
        assert [answer.status_code for answer in doomed.result()] == [503]
    assert (available(operator, stocked), sold(master, stocked)) == (50, [])
    assert operator.post(f"{stocked}/purchases", json={"quantity": 2}).status_code == 201
    assert (available(operator, stocked), sold(master, stocked)) == (48, [2])


def test_buying_goes_on_without_the_cache_and_not_without_the_database(
    operator: httpx.Client, stocked: str, valkey: Valkey, engine: SqlEngine
) -> None:
    valkey.kill()
    assert operator.post(f"{stocked}/purchases", json={"quantity": 1}).status_code == 201
    engine.kill()
    refused = operator.post(f"{stocked}/purchases", json={"quantity": 1})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
