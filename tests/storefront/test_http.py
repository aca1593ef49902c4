"""HTTP around the operations: errors of every kind as problem+json, and the document that describes it all."""

import io
import logging
from collections.abc import Callable
from wsgiref.types import WSGIApplication

import httpx
import pytest

from storefront.http.application import build
from storefront.http.openapi import document
from storefront.http.operations import Operation, Reply, Services
from storefront.http.table import OPERATIONS

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


@pytest.mark.parametrize(
    "path", ["/", "/product/1", "/products/", "/products/1/", "/products/1/2", "/sessions", "/favicon.ico"]
)
def test_unknown_path_is_not_found_or_not_allowed(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == (405 if path == "/sessions" else 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert answer.json()["type"] == "about:blank"


def test_unknown_method_names_those_that_are_allowed(client: httpx.Client) -> None:
    answer = client.patch("/products/1")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"DELETE", "GET", "HEAD", "OPTIONS", "PUT"}


def test_unexpected_error_is_logged_and_tells_the_client_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_services: Services, _call: object) -> Reply:
        raise RuntimeError("a secret detail")

    operation = Operation(method="GET", path="/fail", summary="Fails", handler=fail, replies={})
    failing = build([operation], services=None)  # type: ignore[arg-type]
    with (
        caplog.at_level(logging.ERROR),
        httpx.Client(transport=httpx.WSGITransport(app=failing), base_url="http://storefront") as client,
    ):
        answer = client.get("/fail")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "a secret detail" in caplog.text


@pytest.mark.parametrize(
    "path", ["/products/1", "/products/987654321", "/nowhere", "/sessions/current", "/health/live"]
)
def test_every_answer_tells_browsers_and_caches_to_be_careful(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-cache"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_https_is_asked_for_over_https_only(client: httpx.Client) -> None:
    secure = client.get("https://storefront/health/live")
    assert secure.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"
    assert "Strict-Transport-Security" not in client.get("http://storefront/health/live").headers


def test_headers_are_spelled_as_they_are_documented(client: httpx.Client) -> None:
    names = [name.decode() for name, _ in client.get("/products/1").headers.raw]
    assert {"Content-Length", "Content-Type", "ETag", "X-Cache"} <= set(names)
    assert b"WWW-Authenticate" in [name for name, _ in client.get("/sessions/current").headers.raw]


def test_document_names_every_operation_of_the_table_and_no_other(client: httpx.Client) -> None:
    served = client.get("/openapi.json").json()
    assert served["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in served["paths"].items() for method in methods}
    assert described == {(row.method, row.path) for row in OPERATIONS}


def test_document_asks_for_a_token_where_the_code_does(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            concrete = path.replace("{product_id}", "1")
            refused = client.request(method, concrete, json={"name": "x"}).status_code == 401
            assert refused == ("security" in operation), (method, path)


def test_references_in_the_document_resolve() -> None:
    described = document(OPERATIONS)
    schemas = described.components["schemas"]
    text = str(described)
    for reference in {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in schemas


def test_price_is_described_as_it_is_checked() -> None:
    price = document(OPERATIONS).components["schemas"]["ProductInput"]["properties"]["price"]
    assert price == {"type": "number", "minimum": 0, "maximum": 99999999.99, "multipleOf": 0.01}


def test_chunked_body_is_read_to_its_end(app: WSGIApplication, token: str, product: str) -> None:
    body = b'{"name":"Chunked","price":1}'
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": product,
        "QUERY_STRING": "",
        "SERVER_NAME": "storefront",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": io.StringIO(),
    }

    def start_response(status: str, _headers: list[tuple[str, str]], *_error: object) -> Callable[[bytes], object]:
        statuses.append(status)
        return io.BytesIO().write

    answer = b"".join(app(environ, start_response))
    assert statuses == ["200 OK"]
    assert b"Chunked" in answer


def test_headers_have_the_names_they_are_documented_by(client: httpx.Client) -> None:
    answer = client.get("/products/42")

    assert {b"X-Cache", b"ETag", b"Content-Type"} <= {name for name, _ in answer.headers.raw}
