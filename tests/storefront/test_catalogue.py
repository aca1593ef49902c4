"""Pages of products: which they are from the database, what they are through the cache, in one batch."""

from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from local.engines import Valkey
from storefront.http.products import decode_cursor, encode_cursor
from tests.storefront.counting import commands_of
from tests.storefront.sql import Connection, SqlEngine

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


@pytest.fixture
def shelf(operator: httpx.Client) -> list[int]:
    """The ids of five new products, which are the last ones."""
    return [operator.post("/products", json={"name": f"Chair {n}", "price": n}).json()["id"] for n in range(1, 6)]


def page_of(client: httpx.Client, shelf: list[int], limit: int = 100) -> httpx.Response:
    """The page that begins with the shelf."""
    return client.get("/products", params={"limit": limit, "cursor": encode_cursor(shelf[0] - 1)})


def ids(page: httpx.Response) -> list[int]:
    """Those on a page."""
    return [product["id"] for product in page.json()["products"]]


def test_first_page_has_twenty_products_in_the_order_of_their_ids(client: httpx.Client) -> None:
    page = client.get("/products")
    assert page.status_code == 200
    assert ids(page) == sorted(ids(page))
    assert len(ids(page)) == 20
    assert page.json()["products"][0] == client.get("/products/1").json()


def test_pages_lead_through_every_product_once(client: httpx.Client, shelf: list[int], master: Connection) -> None:
    seen: list[int] = []
    query: dict[str, str | int] = {"limit": 7}
    while True:
        page = client.get("/products", params=query)
        seen += ids(page)
        if page.json()["next_cursor"] is None:
            break
        query["cursor"] = page.json()["next_cursor"]
    assert seen == [row[0] for row in master.execute("SELECT id FROM products ORDER BY id").fetchall()]


def test_last_page_that_is_full_has_no_next_one(client: httpx.Client, shelf: list[int]) -> None:
    page = page_of(client, shelf, limit=5)
    assert (ids(page), page.json()["next_cursor"]) == (shelf, None)
    assert page_of(client, shelf, limit=4).json()["next_cursor"] is not None


def test_page_past_the_end_is_empty_and_read_from_the_database(client: httpx.Client, shelf: list[int]) -> None:
    page = client.get("/products", params={"cursor": encode_cursor(shelf[-1])})
    assert page.json() == {"products": [], "next_cursor": None}
    assert page.headers["X-Cache"] == "BYPASS"


def test_cold_page_is_two_selects_and_one_batch_and_a_warm_one_a_select_and_one_mget(
    recorded: httpx.Client, shelf: list[int], statements: list[str], cache: redis.Redis
) -> None:
    cold = commands_of(cache, lambda: page_of(recorded, shelf))
    assert cold["mget"] == 1
    assert len(statements) == 2
    statements.clear()
    warm = commands_of(cache, lambda: page_of(recorded, shelf))
    assert warm == {"mget": 1}
    assert len(statements) == 1


def test_page_loads_only_what_is_missing(
    recorded: httpx.Client, shelf: list[int], statements: list[str], cache: redis.Redis
) -> None:
    assert page_of(recorded, shelf).headers["X-Cache"] == "MISS"
    assert page_of(recorded, shelf).headers["X-Cache"] == "HIT"
    cache.delete(f"product:{shelf[2]}")
    statements.clear()
    assert page_of(recorded, shelf).headers["X-Cache"] == "MISS"
    assert statements[1].endswith("WHERE id IN (%s)")


def test_page_and_product_share_what_is_cached(operator: httpx.Client, shelf: list[int]) -> None:
    page_of(operator, shelf)
    assert operator.get(f"/products/{shelf[0]}").headers["X-Cache"] == "HIT"
    operator.put(f"/products/{shelf[0]}", json={"name": "Stool", "price": 5})
    page = page_of(operator, shelf)
    assert (page.json()["products"][0]["name"], page.headers["X-Cache"]) == ("Stool", "MISS")


def test_product_that_is_deleted_between_the_two_reads_is_left_out(
    recorded: httpx.Client, shelf: list[int], cache: redis.Redis, master: Connection
) -> None:
    # As if it had been deleted between the two: its absence is cached, and the database still lists it.
    recorded.get(f"/products/{shelf[-1] + 1}")
    assert master.insert("INSERT INTO products (name, price) VALUES ('x', 1)") == shelf[-1] + 1
    page = page_of(recorded, shelf)
    assert (ids(page), page.json()["next_cursor"]) == (shelf, None)


def test_unchanged_page_is_not_sent_again(operator: httpx.Client, shelf: list[int]) -> None:
    tag = page_of(operator, shelf).headers["ETag"]
    query = {"limit": "100", "cursor": encode_cursor(shelf[0] - 1)}
    unchanged = operator.get("/products", params=query, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    operator.delete(f"/products/{shelf[1]}")
    assert operator.get("/products", params=query, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("limit", ["0", "-1", "101", "many", "", "1.5", "true", "99999999999999999999"])
def test_limit_out_of_bounds_is_refused(client: httpx.Client, limit: str) -> None:
    refused = client.get("/products", params={"limit": limit})
    assert refused.status_code == 422
    assert "limit" in refused.json()["detail"]


@pytest.mark.parametrize(
    "cursor", ["", "1", "AAAAAAAAAAB", "_AAAAAAAAAA", "AAAAAAAAAAA=", "AAAAAAAAAAA\n", "'; --", "\x00"]
)
def test_cursor_that_no_page_has_named_is_refused(client: httpx.Client, cursor: str) -> None:
    refused = client.get("/products", params={"cursor": cursor})
    assert refused.status_code == 422
    assert "`cursor` has to be the `next_cursor` of a page" in refused.json()["detail"]


@pytest.mark.parametrize("product_id", [0, 1, 63, 64, 2**31, 2**63 - 1])
def test_cursor_leads_back_to_its_id(client: httpx.Client, product_id: int) -> None:
    cursor = encode_cursor(product_id)
    assert decode_cursor(cursor) == product_id
    assert client.get("/products", params={"cursor": cursor}).status_code == 200


def test_page_is_answered_while_the_cache_is_down(client: httpx.Client, shelf: list[int], valkey: Valkey) -> None:
    valkey.kill()
    page = page_of(client, shelf)
    assert (page.status_code, page.headers["X-Cache"], ids(page)) == (200, "BYPASS", shelf)


def test_page_needs_the_database(app: WSGIApplication, client: httpx.Client, engine: SqlEngine) -> None:
    client.get("/products")
    engine.kill()
    refused = client.get("/products")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
