"""Two requests that mean different things never share an entry of the cache, and one that is refused makes none."""

import httpx
import pytest
import redis

from storefront.policies import product_key, session_key
from tests.storefront.abuse.conftest import RawExchange

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

ELSEWHERE = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Original-URL": "/products/2",
    "Accept": "text/html",
    "Accept-Language": "tlh",
    "Range": "bytes=0-1",
}


@pytest.mark.attack("poison the cache by a header, for others to read", "keys are made of the parsed id alone")
@pytest.mark.parametrize("name", ELSEWHERE)
def test_header_is_no_part_of_what_others_read(client: httpx.Client, product: str, name: str) -> None:
    poisoned = client.get(product, headers={name: ELSEWHERE[name]})
    clean = client.get(product)
    assert (poisoned.status_code, poisoned.content) == (clean.status_code, clean.content)
    assert b"evil.example" not in clean.content + str(clean.headers).encode()


@pytest.mark.attack("by a query, likewise", "the same")
@pytest.mark.parametrize("query", ["?id=2", "?product_id=2", "?_=1", "?limit=1&limit=2", "?%00"])
def test_query_that_is_not_asked_for_is_no_part_of_what_others_read(
    client: httpx.Client, product: str, query: str
) -> None:
    assert client.get(product + query).json() == client.get(product).json()


@pytest.mark.attack("by the body of a GET, likewise", "the same")
def test_body_of_a_get_is_no_part_of_what_others_read(client: httpx.Client, product: str) -> None:
    fat = client.request("GET", product, json={"id": 2, "name": "Poison"})
    assert fat.json() == client.get(product).json()


@pytest.mark.attack("by other spellings of an id", "an id has one spelling")
@pytest.mark.parametrize("spelled", ["01", "+1", "1 ", "1.0", "1e0", "0x1", "1_0", "-1", "0", "%EF%BC%91", "%D9%A1"])
def test_only_one_spelling_of_an_id_is_an_id(exchange: RawExchange, cache: redis.Redis, spelled: str) -> None:
    before = set(cache.scan_iter("product:*"))
    received = exchange(f"GET /products/{spelled.replace(' ', '%20')} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert received.partition(b" ")[2][:3] == b"404"
    assert set(cache.scan_iter("product:*")) <= before


def test_keys_of_different_kinds_never_meet() -> None:
    tokens = [session_key(bytes([number]) * 32) for number in range(256)]
    products = [product_key(number) for number in (1, 2**63 - 1)]
    assert len({*tokens, *products}) == 258
    assert {key.partition(":")[0] for key in tokens} & {key.partition(":")[0] for key in products} == set()


@pytest.mark.attack(
    "empty the cache with writes that are refused", "caller, body and version are checked before anything is deleted"
)
def test_refused_write_forgets_nothing(client: httpx.Client, operator: httpx.Client, product: str) -> None:
    operator.get(product)
    stranger = {"Authorization": "Bearer unknown"}
    assert client.put(product, json={"name": "Stool", "price": 1}, headers=stranger).status_code == 401
    assert operator.put(product, json={"name": "Stool"}).status_code == 422
    assert operator.put(product, json={"name": "Stool", "price": 1}, headers={"If-Match": '"9"'}).status_code == 412
    assert operator.get(product).headers["X-Cache"] == "HIT"
