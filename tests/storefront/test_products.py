"""Products over HTTP, with both engines up."""

import re

import httpx
import pytest

from tests.storefront.sql import Connection

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

CHAIR = {"name": "Chair", "price": 19.90}
MALFORMED_IDS = [
    "0",
    "-1",
    "1e3",
    "1.0",
    "007",
    "abc",
    "%201",
    "9223372036854775808",
    "9999999999999999999999",
    "1%00",
    "1;DROP",
]


def test_sample_product_is_missed_then_hit_with_the_same_body(client: httpx.Client) -> None:
    first, second = client.get("/products/42"), client.get("/products/42")
    assert (first.status_code, first.headers["X-Cache"]) == (200, "MISS")
    assert (second.status_code, second.headers["X-Cache"]) == (200, "HIT")
    assert first.content == second.content
    assert first.json().keys() == {"id", "name", "price"}
    assert first.headers["ETag"] == second.headers["ETag"] == '"1"'


def test_hit_asks_the_database_nothing(client: httpx.Client, product: str, master: Connection) -> None:
    client.get(product)
    with master.locked("products"):
        assert client.get(product).headers["X-Cache"] == "HIT"


def test_created_product_has_location_etag_and_exact_price(operator: httpx.Client) -> None:
    created = operator.post(
        "/products", content=b'{"name":"Chair","price":19.9}', headers={"Content-Type": "application/json"}
    )
    assert created.status_code == 201
    assert created.headers["ETag"] == '"1"'
    location = created.headers["Location"]
    assert created.text == f'{{"id":{location.removeprefix("/products/")},"name":"Chair","price":19.90}}'
    assert operator.get(location).content == created.content


def test_created_product_replaces_its_cached_absence(operator: httpx.Client, product: str, master: Connection) -> None:
    following = f"/products/{int(product.removeprefix('/products/')) + 1}"
    assert operator.get(following).status_code == 404
    assert operator.get(following).headers["X-Cache"] == "HIT"
    assert operator.post("/products", json=CHAIR).headers["Location"] == following
    assert operator.get(following).status_code == 200


def test_replaced_product_is_missed_with_the_new_body(operator: httpx.Client, product: str) -> None:
    operator.get(product)
    replaced = operator.put(product, json={"name": "Stool", "price": 5})
    assert (replaced.status_code, replaced.headers["ETag"]) == (200, '"2"')
    assert "X-Invalidation" not in replaced.headers
    after = operator.get(product)
    assert (after.headers["X-Cache"], after.headers["ETag"], after.content) == ("MISS", '"2"', replaced.content)
    assert '"name":"Stool","price":5.00' in after.text


def test_deleted_product_is_gone_and_its_absence_cached(operator: httpx.Client, product: str) -> None:
    operator.get(product)
    deleted = operator.delete(product)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert [operator.get(product).headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]
    assert operator.get(product).status_code == 404
    assert operator.put(product, json=CHAIR).status_code == 404
    assert operator.delete(product).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("malformed", MALFORMED_IDS)
def test_malformed_or_oversized_id_is_not_found(operator: httpx.Client, method: str, malformed: str) -> None:
    body = {"json": CHAIR} if method == "PUT" else {}
    assert operator.request(method, f"/products/{malformed}", **body).status_code == 404  # type: ignore[arg-type]


def test_largest_id_is_merely_not_found(operator: httpx.Client) -> None:
    assert operator.get("/products/9223372036854775807").headers["X-Cache"] == "MISS"
    assert operator.put("/products/9223372036854775807", json=CHAIR).status_code == 404


@pytest.mark.parametrize(("method", "path"), [("POST", "/products"), ("PUT", "/products/1"), ("DELETE", "/products/1")])
@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer ", "Bearer unknown", "Basic b3A6b3A="])
def test_writing_needs_a_session(client: httpx.Client, method: str, path: str, authorization: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = client.request(method, path, json=CHAIR, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("tags", ['"1"', '"7", "1"', "*", '"1", W/"2"'])
def test_write_whose_if_match_names_the_version_succeeds(operator: httpx.Client, product: str, tags: str) -> None:
    assert operator.put(product, json=CHAIR, headers={"If-Match": tags}).status_code == 200
    assert operator.delete(product, headers={"If-Match": tags.replace("1", "2")}).status_code == 204


@pytest.mark.parametrize("tags", ['"2"', 'W/"1"', '"x"', "garbage", ",", '"99999999999999999999"', '"01"', ""])
def test_write_whose_if_match_names_another_version_is_refused(operator: httpx.Client, product: str, tags: str) -> None:
    assert operator.put(product, json={"name": "Stool", "price": 5}, headers={"If-Match": tags}).status_code == 412
    assert operator.delete(product, headers={"If-Match": tags}).status_code == 412
    assert operator.get(product).json()["name"] == "Chair"


def test_if_match_on_a_missing_product_is_not_found(operator: httpx.Client) -> None:
    assert operator.put("/products/987654321", json=CHAIR, headers={"If-Match": '"1"'}).status_code == 404


@pytest.mark.parametrize("tags", ['"1"', 'W/"1"', "*", '"5", "1"'])
def test_unchanged_product_is_not_sent_again(client: httpx.Client, product: str, tags: str) -> None:
    answer = client.get(product, headers={"If-None-Match": tags})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", '"1"')
    assert client.get(product, headers={"If-None-Match": '"2"'}).status_code == 200


def test_head_has_the_headers_of_get_and_no_body(client: httpx.Client, product: str) -> None:
    got, head = client.get(product), client.head(product)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert re.fullmatch("HIT|MISS", head.headers["X-Cache"])
