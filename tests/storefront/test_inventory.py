"""What is in stock: never cached."""

import httpx
import pytest
import redis

from cache_aside import Policy
from local.engines import Valkey
from storefront import policies
from tests.storefront.counting import commands_of
from tests.storefront.sql import Connection, SqlEngine

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


def test_sample_product_has_stock(client: httpx.Client) -> None:
    assert client.get("/products/97/inventory").json() == {"available": 100}


def test_new_product_has_nothing_in_stock(operator: httpx.Client, product: str) -> None:
    answer = operator.get(f"{product}/inventory")
    assert (answer.status_code, answer.json()) == (200, {"available": 0})
    assert (answer.headers["X-Cache"], answer.headers["Cache-Control"]) == ("BYPASS", "no-store")


def test_stock_is_set_and_set_again(operator: httpx.Client, product: str) -> None:
    for available in (5, 0, 1_000_000_000):
        replaced = operator.put(f"{product}/inventory", json={"available": available})
        assert (replaced.status_code, replaced.json()) == (200, {"available": available})
        assert operator.get(f"{product}/inventory").json() == {"available": available}


def test_no_policy_could_cache_the_stock() -> None:
    cached = {policy.name for policy in vars(policies).values() if isinstance(policy, Policy)}
    assert {"product", "session", "leaderboard"} <= cached
    assert "inventory" not in cached


def test_stock_never_touches_the_cache(client: httpx.Client, product: str, cache: redis.Redis) -> None:
    cache.set("bystander", "1", ex=60)

    def read() -> None:
        for _ in range(10):
            assert client.get(f"{product}/inventory").headers["X-Cache"] == "BYPASS"

    keys = set(cache.keys())
    assert commands_of(cache, read) == {}
    assert set(cache.keys()) <= keys


def test_every_read_shows_the_committed_stock(operator: httpx.Client, product: str, master: Connection) -> None:
    operator.put(f"{product}/inventory", json={"available": 3})
    change = "UPDATE inventory SET available = available + 1 WHERE product_id = %s"
    for available in (4, 5, 6):
        master.execute(change, [product.removeprefix("/products/")])
        assert operator.get(f"{product}/inventory").json() == {"available": available}


@pytest.mark.parametrize("product_id", ["987654321", "0", "abc", "9223372036854775808"])
def test_unknown_product_has_no_stock(operator: httpx.Client, product_id: str) -> None:
    assert operator.get(f"/products/{product_id}/inventory").status_code == 404
    assert operator.put(f"/products/{product_id}/inventory", json={"available": 1}).status_code == 404


def test_stock_goes_with_its_product(operator: httpx.Client, product: str, master: Connection) -> None:
    operator.put(f"{product}/inventory", json={"available": 3})
    operator.delete(product)
    assert operator.get(f"{product}/inventory").status_code == 404
    number = product.removeprefix("/products/")
    assert master.execute("SELECT 1 FROM inventory WHERE product_id = %s", [number]).rowcount == 0


@pytest.mark.parametrize("available", [-1, 1_000_000_001, 10**30, 1.5, True, "1", None])
def test_stock_out_of_bounds_is_refused(operator: httpx.Client, product: str, available: object) -> None:
    assert operator.put(f"{product}/inventory", json={"available": available}).status_code == 422


def test_only_an_operator_sets_the_stock(client: httpx.Client, customer: httpx.Client) -> None:
    assert client.put("/products/1/inventory", json={"available": 1}).status_code == 401
    assert customer.put("/products/1/inventory", json={"available": 1}).status_code == 403


def test_stock_is_answered_without_the_cache_and_not_without_the_database(
    client: httpx.Client, product: str, valkey: Valkey, engine: SqlEngine
) -> None:
    valkey.kill()
    assert client.get(f"{product}/inventory").status_code == 200
    engine.kill()
    refused = client.get(f"{product}/inventory")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
