"""A request is noticed when its last byte comes, and costs work in proportion to its bytes."""

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]

from local.arrival import Arrival

HEAD = b"POST /sessions HTTP/1.1\r\nHost: app\r\n"
IN_CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
REQUESTS = {
    "without a body": b"GET / HTTP/1.1\r\nHost: app\r\n\r\n",
    "with a length": HEAD + b"Content-Length: 6\r\n\r\n{\r\n\r\n}",
    "in chunks": IN_CHUNKS + b"4\r\n\r\n\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "with a trailer": IN_CHUNKS + b"2\r\n{}\r\n0\r\nX: y\r\n\r\n",
}


def arrival(received: bytes = b"") -> Arrival:
    return Arrival(Config(), ("127.0.0.1", 1), received)


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_request_is_complete_with_its_last_byte(request_bytes: bytes, step: int) -> None:
    coming = arrival()
    for start in range(0, len(request_bytes), step):
        assert not coming.complete
        coming.add(request_bytes[start : start + step])
    assert coming.complete
    assert not coming.excessive


def test_body_of_16_kib_in_chunks_of_one_byte_is_no_excess() -> None:
    request = IN_CHUNKS + b"1\r\na\r\n" * 16384 + b"0\r\n\r\n"
    coming = arrival()
    for start in range(0, len(request), 1000):
        coming.add(request[start : start + 1000])
        assert not coming.excessive
    assert coming.complete


@pytest.mark.parametrize("bit", [b"1", b"4\r\n\r\n\r\n\r\n"], ids=["one byte", "an end within a chunk"])
def test_bytes_that_trickle_after_many_are_not_worth_a_parse_each(bit: bytes) -> None:
    coming = arrival(IN_CHUNKS + b"1\r\na\r\n" * 15000)
    for _ in range(3000):
        if coming.excessive:
            break
        coming.add(bit)
    assert not coming.complete
    assert coming.parsed_bytes < 6 * len(coming.received)


@pytest.mark.parametrize(
    "endless", [IN_CHUNKS + b"1\r\na\r\n" * 28000, b"GET /" + b"a" * 140_000], ids=["body", "head"]
)
def test_request_that_never_ends_is_excessive(endless: bytes) -> None:
    coming = arrival()
    for start in range(0, len(endless), 1000):
        coming.add(endless[start : start + 1000])
    assert coming.excessive or coming.complete
    assert coming.parsed_bytes < 6 * len(coming.received)
