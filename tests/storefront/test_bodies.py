"""What bodies are taken, and how the others are turned away: never with a 500."""

import sys
from collections.abc import Iterator

import httpx
import pytest

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

JSON = {"Content-Type": "application/json"}


def put(
    operator: httpx.Client, product: str, body: bytes, content_type: str | None = "application/json"
) -> httpx.Response:
    headers = {"Content-Type": content_type} if content_type else {}
    return operator.put(product, content=body, headers=headers)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0", "0.00"),
        ("-0", "0.00"),
        ("-0.0", "0.00"),
        ("0.01", "0.01"),
        ("0.1", "0.10"),
        ("7", "7.00"),
        ("19.90", "19.90"),
        ("19.900", "19.90"),
        ("1.5e1", "15.00"),
        ("1E2", "100.00"),
        ("99999999.99", "99999999.99"),
        ("4503599.67", "4503599.67"),
    ],
)
def test_price_is_exact_all_the_way(operator: httpx.Client, product: str, sent: str, stored: str) -> None:
    replaced = put(operator, product, f'{{"name":"Chair","price":{sent}}}'.encode())
    assert replaced.status_code == 200
    for answer in (replaced, operator.get(product), operator.get(product)):
        assert f'"price":{stored}}}' in answer.text


@pytest.mark.parametrize(
    "price",
    [
        '"19.90"',
        "true",
        "null",
        "[]",
        "{}",
        "-0.01",
        "-1",
        "0.001",
        "19.999",
        "0.30000000000000004",
        "99999999.990000000000001",
        "99999999.991",
        "100000000",
        "1e8",
        "1e400",
        "1e-400",
        "1e999999999999999999999",
        "12345678901234567890123",
    ],
)
def test_price_that_is_no_amount_is_unprocessable(operator: httpx.Client, product: str, price: str) -> None:
    answer = put(operator, product, f'{{"name":"Chair","price":{price}}}'.encode())
    assert answer.status_code == 422
    assert "$.price" in answer.json()["detail"]


@pytest.mark.attack("a number of thousands of digits", "422")
def test_number_of_thousands_of_digits_is_unprocessable(operator: httpx.Client, product: str) -> None:
    assert put(operator, product, b'{"name":"Chair","price":' + b"9" * 5000 + b"}").status_code == 422


@pytest.mark.parametrize(
    "name", ["é", "日本語 ☕ 🪑", "O'Brien; DROP TABLE products; --", '"\\"', "\\u202e", " ", "a\tb\n", "x" * 200]
)
def test_any_text_is_a_name(operator: httpx.Client, product: str, name: str) -> None:
    assert operator.put(product, json={"name": name, "price": 1}).json()["name"] == name
    assert operator.get(product).json()["name"] == name


@pytest.mark.parametrize("name", ["", "x" * 201, "\x00", "a\x00b", "a\n\x00", None, 7, ["a"]])
def test_what_is_no_name_is_unprocessable(operator: httpx.Client, product: str, name: object) -> None:
    assert operator.put(product, json={"name": name, "price": 1}).status_code == 422


@pytest.mark.parametrize("body", [b"{}", b"[]", b"1", b"null", b'"text"', b'{"name":"a"}', b'{"price":1}'])
def test_json_of_another_shape_is_unprocessable(operator: httpx.Client, product: str, body: bytes) -> None:
    assert put(operator, product, body).status_code == 422
    assert operator.post("/sessions", content=body, headers=JSON).status_code == 422


@pytest.mark.attack("bodies that are not JSON, not UTF-8, or hold lone surrogates", "400")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"name=Chair",
        b'{"name":"a","price":01}',
        b'{"name":"a","price":NaN}',
        b'{"name":"a","price":1}}',
        b'{"name":"\xff","price":1}',
        b'{"name":"\\ud800","price":1}',
        b'\xef\xbb\xbf{"name":"a","price":1}',
    ],
)
def test_what_is_not_json_is_a_bad_request(operator: httpx.Client, product: str, body: bytes) -> None:
    assert put(operator, product, body).status_code == 400


@pytest.fixture
def interpreters_own_limit() -> Iterator[None]:
    """Some libraries let Python nest ten times deeper as soon as a test has imported them."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.usefixtures("interpreters_own_limit")
def test_nesting_that_the_parser_does_not_follow_is_a_bad_request(operator: httpx.Client, product: str) -> None:
    body = b'{"name":"a","price":1,"more":' + b"[" * 7000 + b"]" * 7000 + b"}"
    assert put(operator, product, body).status_code == 400


def test_other_members_are_ignored(operator: httpx.Client, product: str) -> None:
    assert operator.put(product, json={"id": 7, "name": "Stool", "price": 1, "more": [1]}).status_code == 200


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "json"]
)
def test_other_media_types_are_unsupported(operator: httpx.Client, product: str, content_type: str | None) -> None:
    assert put(operator, product, b'{"name":"a","price":1}', content_type).status_code == 415


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_parameters_and_case_of_the_media_type_do_not_matter(
    operator: httpx.Client, product: str, content_type: str
) -> None:
    assert put(operator, product, b'{"name":"a","price":1}', content_type).status_code == 200


@pytest.mark.attack("a body over 16 KiB", "413")
def test_body_over_sixteen_kibibytes_is_too_large(operator: httpx.Client, product: str) -> None:
    fits = b'{"name":"a","price":1}'.ljust(16 * 1024)
    assert put(operator, product, fits).status_code == 200
    assert put(operator, product, fits + b" ").status_code == 413
