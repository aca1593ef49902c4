"""Requests that a proxy and the app might read differently: none is answered as two, none reaches another path."""

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.storefront.abuse.conftest import RawExchange

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: inner\r\n\r\n"


def statuses(received: bytes) -> list[int]:
    """The status of each answer in a stream."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def request(*headers: bytes, line: bytes = b"POST /sessions HTTP/1.1", body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    return b"\r\n".join([line, b"Host: storefront", *headers, b"", body])


def test_two_requests_in_order_are_two_answers(exchange: RawExchange) -> None:
    """The check below can see a second answer."""
    get = request(line=b"GET /health/live HTTP/1.1")
    assert statuses(exchange(get + get)) == [200, 200]


@pytest.mark.attack(
    "two lengths, odd lengths, odd transfer encodings, folded and split headers, NUL in a header",
    "refused; no second request gets an answer",
)
@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 4", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 4"),
        (b"Content-Length: 0", b"Content-Length: 45"),
        (b"Content-Length: 45", b"Content-Length: 0"),
        (b"Content-Length: 0, 45",),
        (b"Content-Length: +45",),
        (b"Content-Length: -1",),
        (b"Content-Length: 0x2d",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding : chunked",),
        (b"Transfer-Encoding: identity, chunked", b"Content-Length: 3"),
        (b"Content-Length: 45", b" folded: yes"),
        (b"X: y\x00Content-Length: 0",),
        (b"Content Length: 45",),
    ],
    ids=repr,
)
def test_body_of_doubtful_length_is_refused_and_hides_no_request(
    exchange: RawExchange, headers: tuple[bytes, ...]
) -> None:
    answers = statuses(exchange(request(*headers, body=b"0\r\n\r\n" + SMUGGLED)))
    assert answers
    assert 400 <= answers[0] < 500 or answers[0] == 501
    assert 200 not in answers


@pytest.mark.attack("`..`, `%2f`, `;`, `\\` and CR LF in the path", "not found")
@pytest.mark.parametrize(
    "target",
    [
        b"/products/1/../2",
        b"/products/./1",
        b"/products//1",
        b"//products/1",
        b"/products/1%2f",
        b"/products/1%2F..%2F2",
        b"/%70roducts/1%00",
        b"/products/%2e%2e/products/1",
        b"/products/1;jsessionid=2",
        b"/products/1\\",
        b"/products/%31%0d%0aX-Injected:%20yes",
    ],
    ids=repr,
)
def test_path_that_only_resembles_one_is_not_found(exchange: RawExchange, target: bytes) -> None:
    received = exchange(request(line=b"GET " + target + b" HTTP/1.1"))
    assert statuses(received)[0] in (400, 404)
    assert b"X-Injected" not in received.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("target", [b"/products%2F1", b"/%70roducts/%31"], ids=repr)
def test_path_that_is_spelled_differently_is_the_same_product(exchange: RawExchange, target: bytes) -> None:
    plain, spelled = (exchange(request(line=b"GET " + path + b" HTTP/1.1")) for path in (b"/products/1", target))
    assert statuses(spelled) == [200]
    assert spelled.partition(b"\r\n\r\n")[2] == plain.partition(b"\r\n\r\n")[2]


@pytest.mark.attack("`X-HTTP-Method-Override`, `X-Original-URL` and their like", "ignored")
@pytest.mark.parametrize(
    "name",
    [
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-Prefix",
        "Forwarded",
    ],
)
def test_headers_that_frameworks_obey_are_not_obeyed(client: httpx.Client, product: str, name: str) -> None:
    for value in ("DELETE", "/health/live", "host=another;proto=https"):
        answer = client.get(product, headers={name: value})
        assert answer.status_code == 200
        assert f"/products/{answer.json()['id']}" == product


@pytest.mark.attack("split the answer: CR LF in what a client sends", "it never becomes a header")
@pytest.mark.parametrize("value", ["a\r\nX-Injected: yes", "a\nX-Injected: yes"])
def test_what_a_client_sends_never_becomes_a_header(exchange: RawExchange, value: str) -> None:
    received = exchange(request(b"If-None-Match: " + value.encode(), line=b"GET /products/1 HTTP/1.1"))
    assert b"X-Injected" not in received


@pytest.mark.attack("thousands of headers", "refused")
@pytest.mark.parametrize("count", [200, 2000])
def test_too_many_headers_are_refused(exchange: RawExchange, count: int) -> None:
    headers = [b"X-%d: y" % number for number in range(count)]
    assert statuses(exchange(request(*headers, line=b"GET /products/1 HTTP/1.1")))[:1] in ([400], [431])


@pytest.mark.attack("an endless header or request line", "refused")
def test_endless_header_and_request_line_are_refused(exchange: RawExchange) -> None:
    long = b"x" * 100_000
    assert 400 <= statuses(exchange(request(b"X: " + long, line=b"GET /products/1 HTTP/1.1")))[0] < 500
    assert 400 <= statuses(exchange(request(line=b"GET /products/" + long + b" HTTP/1.1")))[0] < 500


def test_server_does_not_say_what_it_is(exchange: RawExchange) -> None:
    received = exchange(request(line=b"GET /products/1 HTTP/1.1"))
    assert re.findall(rb"(?i)^server: (.*)\r$", received, re.MULTILINE) == [b"storefront"]
    assert not re.search(rb"(?i)gunicorn|python|falcon", received)


@pytest.mark.attack("`//` at the beginning of the path, to get past a firewall's rules", "not found")
@pytest.mark.parametrize("target", ["//products/1", "///products/1", "//sessions/current", "/%2Fproducts/1"])
def test_path_with_two_slashes_at_its_beginning_is_not_found(client: httpx.Client, target: str) -> None:
    """A firewall's rules know paths by how they begin."""
    assert client.get(f"http://storefront{target}").status_code == 404
    assert client.post("http://storefront//sessions", json={}).status_code == 404


@pytest.mark.attack("`X-Forwarded-*` and `Forwarded`", "not believed")
@pytest.mark.parametrize("name", [b"SCRIPT_NAME", b"PATH_INFO", b"X-Forwarded-Proto"])
def test_header_of_a_proxy_is_not_believed(exchange: RawExchange, log_file: Path, name: bytes) -> None:
    logged = log_file.stat().st_size
    received = exchange(b"GET /health/live HTTP/1.1\r\nHost: app\r\n" + name + b": /zzz\r\n\r\n")
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received) == [b"200"]
    assert b"Traceback" not in log_file.read_bytes()[logged:]


@pytest.mark.attack("requests that are none, with HTML in them", "an error in JSON, which no browser runs")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"G<script>T / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: storefront\r\nbad header: x\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: storefront\r\nX: " + b"a" * 10_000 + b"\r\n\r\n", 431),
        (b"POST /sessions HTTP/1.1\r\nHost: storefront\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    ],
    ids=repr,
)
def test_request_that_never_reaches_the_app_is_answered_as_the_app_answers(
    exchange: RawExchange, sent: bytes, status: int
) -> None:
    head, _, body = exchange(sent).partition(b"\r\n\r\n")
    assert statuses(head) == [status]
    assert b"Content-Type: application/problem+json" in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert json.loads(body)["status"] == status
