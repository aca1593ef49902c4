"""Text that means something to a database, a cache or a terminal is text here, in every place that takes any."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis

from storefront.http.openapi import document
from storefront.http.operations import Operation
from storefront.http.table import OPERATIONS
from tests.storefront.abuse.conftest import RawExchange

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

HOSTILE = [
    "\x00",
    "a\x00b",
    "' OR '1'='1",
    "'; DROP TABLE products; --",
    '"; DELETE FROM users; --',
    "\\'; SELECT pg_sleep(5); --",
    "1 UNION SELECT password_hash FROM users",
    "%s%(id)s%%",
    "${jndi:ldap://x/y}{{7*7}}",
    "x\r\nFLUSHALL\r\n",
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "product:1",
    "session:*",
    "../../etc/passwd",
    "\ud7ff\ue000\ufffe\uffff",
    "\u202e\u2066\u200b\ufeff",
    "e\u0301" * 40,
    "\U0001f468\u200d\U0001f469" * 20,
    "a" * 10_000,
]
NUMBERED = [f"text-{number}" for number in range(len(HOSTILE))]
SCHEMAS: dict[str, Any] = document(OPERATIONS).components["schemas"]


def path_of(row: Operation) -> str:
    """Its path, with names filled in."""
    return row.path.format(product_id=1, name="unknown", username="unknown")


def places() -> Iterator[tuple[str, str, str]]:
    """Method, path and name of every text in a body."""
    for row in OPERATIONS:
        if row.body:
            for name, schema in SCHEMAS[row.body.__name__]["properties"].items():
                if schema.get("type") == "string":
                    yield row.method, path_of(row), name


def body_of(method: str, path: str) -> dict[str, Any]:
    """A body of the right shape."""
    (row,) = [row for row in OPERATIONS if row.method == method and path_of(row) == path]
    assert row.body
    return {name: example(schema) for name, schema in SCHEMAS[row.body.__name__]["properties"].items()}


def example(schema: dict[str, Any]) -> object:
    """A value that the schema allows."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "a" * max(8, schema.get("minLength", 0)), "boolean": True}.get(
        schema["type"], schema.get("minimum", 1)
    )


@pytest.mark.attack(
    "SQL, Redis protocol, templates, format strings, NUL, direction marks and emoji in every text of every body",
    "stored as text, or refused",
)
@pytest.mark.parametrize("text", HOSTILE, ids=NUMBERED)
@pytest.mark.parametrize(("method", "path", "name"), list(places()), ids="-".join)
def test_text_in_a_body_is_stored_or_refused(
    operator: httpx.Client, method: str, path: str, name: str, text: str
) -> None:
    answer = operator.request(method, path, json=body_of(method, path) | {name: text})
    assert answer.status_code < 500
    if answer.is_success and name in answer.json():
        assert answer.json()[name] == (text.casefold() if name == "username" else text)


@pytest.mark.attack("the same in URLs", "finds nothing")
@pytest.mark.parametrize("text", HOSTILE, ids=NUMBERED)
@pytest.mark.parametrize("path", ["/products/{}", "/products?cursor={}", "/products?limit={}", "/leaderboard?limit={}"])
def test_text_in_a_url_finds_nothing(exchange: RawExchange, path: str, text: str) -> None:
    target = path.format(quote(text, safe="", errors="surrogatepass")).encode()
    received = exchange(b"GET " + target + b" HTTP/1.1\r\nHost: storefront\r\n\r\n")
    assert received.partition(b" ")[2][:3] in (b"400", b"404", b"414", b"422")


@pytest.mark.attack("the same in headers", "changes nothing")
@pytest.mark.parametrize("text", HOSTILE, ids=NUMBERED)
@pytest.mark.parametrize("name", ["Authorization", "If-None-Match", "X-Forwarded-For", "User-Agent"])
def test_text_in_a_header_changes_nothing(exchange: RawExchange, name: str, text: str) -> None:
    header = f"{name}: Bearer {text}".encode("utf-8", "surrogatepass")
    received = exchange(b"GET /products/1 HTTP/1.1\r\nHost: storefront\r\n" + header + b"\r\n\r\n")
    status = received.partition(b" ")[2][:3]
    assert status in (b"200", b"400", b"431")
    assert (status != b"200") or b'{"id":1,' in received
    secret = exchange(b"GET /sessions/current HTTP/1.1\r\nHost: storefront\r\n" + header + b"\r\n\r\n")
    assert secret.partition(b" ")[2][:3] in (b"401", b"400", b"431")


@pytest.mark.attack("make a command or a key of the cache of it", "none came of it")
def test_none_of_it_becomes_a_command_or_a_key_of_the_cache(
    operator: httpx.Client, exchange: RawExchange, cache: redis.Redis
) -> None:
    cache.config_resetstat()
    for text in HOSTILE:
        operator.put("/products/1", json={"name": text, "price": 1})
        operator.post("/sessions", json={"username": text, "password": "a guess"})
        test_text_in_a_url_finds_nothing(exchange, "/products/{}", text)
    sent = set(cache.info("commandstats"))
    assert not {name for name in sent if "flush" in name or "config|set" in name or "keys" in name}
    assert not [key for key in cache.scan_iter() if any(len(text) > 9 and text.encode() in key for text in HOSTILE)]


@pytest.mark.attack("a body nested thousands deep", "refused")
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deeply_nested_body_is_refused(operator: httpx.Client, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    depth = 16 * 1024 // (len(opening) + 1) - 2
    nested = opening * depth + b"1" + closing * depth
    answer = operator.put("/products/1", content=nested, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
