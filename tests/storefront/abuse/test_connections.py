"""What becomes of a connection after a request that was refused, or whose body is not what its headers promise."""

import re
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.storefront.abuse.conftest import RawExchange

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

GET = b"GET /health/live HTTP/1.1\r\nHost: storefront\r\n\r\n"


def post(*headers: bytes, body: bytes = b"") -> bytes:
    """A login as it goes over the wire."""
    lines = [b"POST /sessions HTTP/1.1", b"Host: storefront", b"Content-Type: application/json", *headers, b"", body]
    return b"\r\n".join(lines)


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def first_answer(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """Status and headers of the next answer, which is read to its end."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(lines[0].split()[1]), headers


@pytest.mark.attack(
    "lose the next request on a connection whose body was refused",
    "the connection stays usable, or the answer says `Connection: close`",
)
@pytest.mark.parametrize("size", [16 * 1024 + 1, 64 * 1024, 200_000, 5_000_000])
def test_refused_body_either_leaves_the_connection_usable_or_says_that_it_closes(port: int, size: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        with suppress(BrokenPipeError):  # it may have closed before it was sent all; the answer is there to read
            connection.sendall(post(b"Content-Length: %d" % size, body=b" " * size))
        status, headers = first_answer(connection)
        assert status == 413
        if headers["connection"] == "keep-alive":
            connection.sendall(GET)
            assert first_answer(connection)[0] == 200
        else:
            assert headers["connection"] == "close"


@pytest.mark.parametrize("count", [1, 100])
def test_refused_chunked_body_says_that_the_connection_closes(port: int, count: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        with suppress(BrokenPipeError):
            connection.sendall(chunked((b"5000\r\n" + b" " * 0x5000 + b"\r\n") * count + b"0\r\n\r\n"))
        status, headers = first_answer(connection)
        assert status == 413
        assert headers["connection"] == "close"


@pytest.mark.parametrize("path", [b"/products", b"/nowhere", b"/sessions/current"])
def test_body_that_nobody_reads_leaves_the_connection_usable(port: int, path: bytes) -> None:
    body = b"{}".ljust(16 * 1024)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        request = post(b"Content-Length: %d" % len(body), body=body).replace(b"/sessions", path, 1)
        connection.sendall(request)
        status, headers = first_answer(connection)
        assert 400 <= status < 500
        assert headers["connection"] == "keep-alive"
        connection.sendall(GET)
        assert first_answer(connection)[0] == 200


CREDENTIALS = b'{"username":"nobody","password":"x"}'
SIZE = b"%x" % len(CREDENTIALS)


@pytest.mark.attack(
    "chunks of a negative, hexadecimal or huge size, with a bare LF, bad trailers, or cut off",
    "400, without a traceback",
)
@pytest.mark.parametrize(
    "body",
    [
        b"-1\r\n" + CREDENTIALS + b"\r\n0\r\n\r\n",
        b"0x2\r\n{}\r\n0\r\n\r\n",
        b"+2\r\n{}\r\n0\r\n\r\n",
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"\r\n{}\r\n0\r\n\r\n",
        b"2\n{}\n0\n\n",
        SIZE + b"\n" + CREDENTIALS + b"\r\n0\r\n\r\n",
        SIZE + b"\r\n" + CREDENTIALS + b"0\r\n\r\n",
        SIZE + b"\r\n" + CREDENTIALS + b"\r\n0\r\nbad trailer\r\n\r\n",
        SIZE + b"\r\n" + CREDENTIALS + b"\r\n0\r\nX: y\n\n",
        SIZE + b"\r\n" + CREDENTIALS[:5],
        SIZE + b"\r\n" + CREDENTIALS + b"\r\n",
        SIZE + b"\r\n" + CREDENTIALS + b"\r\n0\r\n",
        b"ffffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        b"",
    ],
    ids=repr,
)
def test_malformed_chunks_are_a_bad_request_without_a_traceback(
    exchange: RawExchange, log_file: Path, body: bytes
) -> None:
    logged = log_file.stat().st_size
    received = exchange(chunked(body))
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received) == [b"400"]
    assert b"Traceback" not in log_file.read_bytes()[logged:]


@pytest.mark.parametrize("trailer", [b"", b"X-Trailer: y\r\n"])
def test_well_formed_chunks_are_read_to_their_end(exchange: RawExchange, trailer: bytes) -> None:
    parts = [b"1;name=value\r\n{\r\n", b"%x\r\n%s\r\n" % (len(CREDENTIALS) - 1, CREDENTIALS[1:]), b"0\r\n", trailer]
    received = exchange(chunked(b"".join([*parts, b"\r\n"])) + GET)
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received)[:1] == [b"401"]


@pytest.mark.attack("a body shorter than its length", "400")
def test_body_shorter_than_its_length_is_a_bad_request(exchange: RawExchange, log_file: Path) -> None:
    logged = log_file.stat().st_size
    received = exchange(post(b"Content-Length: 100", body=CREDENTIALS))
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", received) == [b"400"]
    assert b"Traceback" not in log_file.read_bytes()[logged:]
