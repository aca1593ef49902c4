"""Clients that send or read slowly, more than the server has threads, keep nobody else waiting."""

import re
import socket
from contextlib import ExitStack, suppress
from time import sleep

import httpx
import pytest

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

SLOW_CLIENTS = 40
BODY = b'{"username": "nobody", "password": "a password of nobody"}'
POST = b"POST /sessions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n"
WITH_LENGTH = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
IN_CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: app\r\n\r\n"
SLOW = {
    "before the first byte": (b"", GET, 200),
    "in the request line": (GET[:8], GET[8:], 200),
    "in the head": (POST, WITH_LENGTH[len(POST) :], 401),
    "in the body": (WITH_LENGTH[:-5], WITH_LENGTH[-5:], 401),
    "in a chunk": (IN_CHUNKS[:-20], IN_CHUNKS[-20:], 401),
    "before the last chunk": (IN_CHUNKS[:-5], IN_CHUNKS[-5:], 401),
    "in a second request": (GET + WITH_LENGTH[:-5], WITH_LENGTH[-5:], 401),
}


@pytest.mark.attack("send requests slowly, on many connections", "nobody else waits")
@pytest.mark.parametrize("place", SLOW)
def test_clients_that_stop_half_way_keep_nobody_waiting(port: int, place: str) -> None:
    begin, rest, status = SLOW[place]
    with ExitStack() as cleanup:
        slow = [cleanup.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(SLOW_CLIENTS)]
        for connection in slow:
            connection.settimeout(30)
            connection.sendall(begin)
        for _ in range(20):
            assert httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=10).status_code == 200
        # Being slow is no crime: who finishes in time is answered.
        slow[0].sendall(rest)
        assert last_status(slow[0], count=2 if begin.startswith(GET) else 1) == status


def last_status(connection: socket.socket, *, count: int) -> int:
    """The status of the last of so many answers."""
    received = b""
    while len(found := re.findall(rb"HTTP/1\.1 (\d{3}) ", received)) < count:
        chunk = connection.recv(65536)
        assert chunk, received
        received += chunk
    return int(found[-1])


def test_byte_after_byte_is_a_request_too(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in IN_CHUNKS:
            connection.send(bytes([byte]))
        assert last_status(connection, count=1) == 401


@pytest.mark.attack("read answers slowly, or not at all", "nobody else waits")
def test_clients_that_do_not_read_keep_nobody_waiting(port: int) -> None:
    with ExitStack() as cleanup:
        for _ in range(20):
            slow = cleanup.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            slow.connect(("127.0.0.1", port))
            slow.settimeout(0.5)
            with suppress(TimeoutError):  # the server takes no more
                for _ in range(80):
                    slow.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: app\r\n\r\n" * 50)
        for _ in range(100):  # while the server answers them until nothing more fits into their buffers
            sleep(0.05)
            assert httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=10).status_code == 200


def test_answer_that_is_read_slowly_comes_whole(port: int) -> None:
    expected = httpx.get(f"http://127.0.0.1:{port}/openapi.json").content
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect(("127.0.0.1", port))
        slow.settimeout(10)
        slow.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: app\r\n\r\n" * 99)
        slow.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
        received = bytearray()
        while chunk := slow.recv(1 << 16):
            received += chunk
    assert received.count(expected) == 100


def test_clients_that_do_not_close_keep_nobody_waiting(port: int) -> None:
    with ExitStack() as cleanup:
        for _ in range(20):
            staying = cleanup.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            staying.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=10).status_code == 200
