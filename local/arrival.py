"""Whether all of a request is there, found out with little work however its bytes come."""

from collections.abc import Iterator
from typing import Any

from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]

# The app reads 16 KiB of a body and refuses what is longer, so a thread that has this much waits for nothing.
_ENOUGH_OF_A_BODY_BYTES = 1 << 15
# Room for a body of 16 KiB in chunks of one byte. Of a request that is longer and still not complete nothing is read.
_LONGEST_BYTES = 1 << 17
# A parse costs as much as all that has come: who makes us parse more than this, for each byte sent, is read no further.
_PARSED_FOR_EACH_BYTE = 4
_PARSED_AT_LEAST_BYTES = 1 << 16
_END = b"\r\n\r\n"
# The parser copies what is left of a piece for each chunk of a body that it finds in it.
_PIECE_BYTES = 4096


class _NeedsMoreError(Exception):
    """The parser has read all that was received."""


class Arrival:
    """One request as it comes in. gunicorn's own parser decides, so that nobody else understands a request otherwise.

    A head ends with an empty line, and so does a body in chunks: nothing but its arrival is worth a parse, or enough
    bytes for a body that names its length. Besides, it is parsed each time that it has doubled, to notice a long body.
    """

    def __init__(self, settings: Any, client: Any, received: bytes) -> None:
        """:param received: what was read of it with the request before"""
        self.received = bytearray()
        self.parsed_bytes = 0
        self._settings, self._client = settings, client
        self._parse_again_at = _ENOUGH_OF_A_BODY_BYTES
        self._complete_at: int | None = None
        self.complete = False
        self.add(received)

    @property
    def excessive(self) -> bool:
        """Whether it has come to more bytes, or to more work, than any request that the app would accept."""
        allowed = _PARSED_AT_LEAST_BYTES + _PARSED_FOR_EACH_BYTE * len(self.received)
        return len(self.received) > _LONGEST_BYTES or self.parsed_bytes > allowed

    def add(self, chunk: bytes) -> None:
        """Takes the next bytes."""
        searched = max(0, len(self.received) - len(_END) + 1)
        self.received += chunk
        if self._complete_at is not None:
            worth_it = len(self.received) >= self._complete_at
        else:
            worth_it = self.received.find(_END, searched) >= 0 or len(self.received) >= self._parse_again_at
        if worth_it:
            self.complete = self._parse()
            self._parse_again_at = max(_ENOUGH_OF_A_BODY_BYTES, 2 * len(self.received))

    def _parse(self) -> bool:
        """Whether the parser can read the request, or refuse it, without waiting."""
        received = bytes(self.received)
        self.parsed_bytes += len(received)
        try:
            request = next(RequestParser(self._settings, _then_stop(received), self._client))
            length = dict(request.headers).get("CONTENT-LENGTH")
            if length is not None:
                self._complete_at = received.index(_END) + len(_END) + min(int(length), _ENOUGH_OF_A_BODY_BYTES)
            request.body.read(_ENOUGH_OF_A_BODY_BYTES)
        except _NeedsMoreError:
            return False
        except Exception:  # noqa: BLE001 - the thread meets it again, and answers
            return True
        return True


def _then_stop(received: bytes) -> Iterator[bytes]:
    for start in range(0, len(received), _PIECE_BYTES):
        yield received[start : start + _PIECE_BYTES]
    raise _NeedsMoreError


class ArrivedUnreader(SocketUnreader):  # type: ignore[misc]
    """Where the parser reads what has arrived, piece by piece, and then from the socket."""

    def __init__(self, sock: Any, received: bytes) -> None:
        super().__init__(sock)
        self._received, self._read = received, 0

    def chunk(self, size_hint: int | None = None) -> bytes:
        """See `Unreader`."""
        piece = self._received[self._read : self._read + _PIECE_BYTES]
        self._read += len(piece)
        return piece or bytes(super().chunk(size_hint))

    def gather(self) -> None:
        """Puts what the parser did not ask for, a next request, where gunicorn looks for it."""
        self.buf.seek(0, 2)
        self.buf.write(self._received[self._read :])
        self._read = len(self._received)
