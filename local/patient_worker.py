"""A gunicorn worker whose threads get whole requests only, so that clients who send slowly occupy no thread.

gunicorn's own gthread worker gives a connection to a thread when its first byte is there, and the thread then waits
for the rest: as many slow clients as there are threads stop it.
"""

import time
from collections.abc import Iterator
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

# How long a request may take to arrive, and how many bytes of it before a thread may wait for the rest. The app reads
# 16 KiB of a body and refuses what is longer.
PATIENCE_SECONDS = 10.0
_ENOUGH_OF_A_BODY_BYTES = 1 << 15
_HEAD_WORTH_PARSING_BYTES = 1 << 16
_RECEIVED_AT_ONCE_BYTES = 1 << 16


class _NeedsMoreError(Exception):
    """The parser has read all that was received."""


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gthread, but the main loop collects each request before a thread sees it.

    A connection whose request has not arrived after PATIENCE_SECONDS is closed, by `murder_pending`.
    """

    def enqueue_req(self, conn: Any) -> None:
        """Where gunicorn gives a connection to a thread: when it is new, kept alive, or has sent ahead."""
        conn.sock.setblocking(False)
        conn.received = conn.parser.unreader.take_buffered() if conn.parser else b""
        if self._arrived(conn):
            self._hand_over(conn)
            return
        conn.timeout = time.monotonic() + PATIENCE_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        """Collects what has come; whatever ends or breaks the connection is for the thread to find out."""
        try:
            chunk = client.recv(_RECEIVED_AT_ONCE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        conn.received += chunk
        if chunk and not self._arrived(conn):
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        self._hand_over(conn)

    def _hand_over(self, conn: Any) -> None:
        conn.init()
        conn.parser.unreader.unread(conn.received)
        conn.received, conn.data_ready = b"", True
        super().enqueue_req(conn)

    def _arrived(self, conn: Any) -> bool:
        """Whether gunicorn's own parser can read the request, or refuse it, without waiting."""
        if b"\r\n\r\n" not in conn.received and len(conn.received) < _HEAD_WORTH_PARSING_BYTES:
            return False
        try:
            request = next(RequestParser(self.cfg, _then_stop(conn.received), conn.client))
            request.body.read(_ENOUGH_OF_A_BODY_BYTES)
        except _NeedsMoreError:
            return False
        except Exception:  # noqa: BLE001 - the thread meets it again, and answers
            return True
        return True


def _then_stop(received: bytes) -> Iterator[bytes]:
    yield received
    raise _NeedsMoreError
