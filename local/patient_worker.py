"""A gunicorn worker whose threads wait for no client: neither for one who sends slowly, nor for one who reads slowly.

gunicorn's own gthread worker gives a connection to a thread when its first byte is there; the thread then waits for
the rest, and for the client to take the answer: as many slow clients as there are threads stop it. Its main loop, in
turn, waits two seconds for each client that does not close a connection which is to be closed.
"""

import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from local.arrival import Arrival, ArrivedUnreader

# How long a request may take to arrive, its answer to be taken, and the client to close after the last answer.
PATIENCE_SECONDS = 10.0
_RECEIVED_AT_ONCE_BYTES = 1 << 16


class KeepsUnsent(socket.socket):
    """A connection whose `sendall` never waits: what the client does not take yet is kept for `send_more`.

    That is one answer at most, because the worker looks at no further request before it is taken.
    """

    unsent = b""

    def sendall(self, data: Any, _flags: int = 0) -> None:
        """Sends what the client takes now. OSError as usual when it is gone."""
        self.unsent += bytes(data)
        self.send_more()

    def send_more(self) -> None:
        """The same for what is left."""
        with suppress(BlockingIOError):
            self.unsent = self.unsent[self.send(self.unsent, socket.MSG_DONTWAIT) :]


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """gthread, but the main loop collects each request before a thread sees it, and delivers what is left of answers.

    A connection on which PATIENCE_SECONDS were not enough is closed, by gunicorn's `murder_pending`.
    """

    def enqueue_req(self, conn: Any) -> None:
        """Where gunicorn gives a connection to a thread: when it is new, kept alive, or has sent ahead."""
        if not isinstance(conn.sock, KeepsUnsent):
            conn.sock = KeepsUnsent(fileno=conn.sock.detach())
        conn.arrival = Arrival(self.cfg, conn.client, conn.parser.unreader.take_buffered() if conn.parser else b"")
        if conn.arrival.complete:
            self._hand_over(conn)
        else:
            self._wait(conn, EVENT_READ, self.on_pending_socket_readable)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:
        """Collects what has come; whatever ends or breaks the connection is for the thread to find out."""
        chunk = _receive(client)
        if chunk is None:
            return
        conn.arrival.add(chunk)
        if not chunk or conn.arrival.complete or conn.arrival.excessive:
            self._wait_no_longer(conn)
            if conn.arrival.excessive:
                with suppress(OSError):  # the thread must not wait for the rest
                    client.shutdown(socket.SHUT_RD)
            self._hand_over(conn)

    def _hand_over(self, conn: Any) -> None:
        conn.init()
        conn.parser.unreader = ArrivedUnreader(conn.sock, bytes(conn.arrival.received))
        conn.arrival, conn.data_ready = None, True
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, future: Future[bool]) -> None:
        """Where a thread gives the connection back: waits until the answer is taken, then for the next request."""
        if conn.sock.unsent:
            self._wait(conn, EVENT_WRITE, partial(self._on_writable, future))
        elif not future.cancelled() and not future.exception() and future.result():
            conn.parser.unreader.gather()
            super().finish_request(conn, future)
        else:
            self._end(conn)

    def _on_writable(self, future: Future[bool], conn: Any, client: KeepsUnsent) -> None:
        try:
            client.send_more()
        except OSError:
            self._close(conn)
            return
        if not client.unsent:
            self._wait_no_longer(conn)
            self.finish_request(conn, future)

    def _end(self, conn: Any) -> None:
        """Closes once the client has: closed at once, what it still sends would destroy the answer on its way."""
        self._wait(conn, EVENT_READ, self._on_ending)
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)

    def _on_ending(self, conn: Any, client: Any) -> None:
        if _receive(client) == b"":
            self._close(conn)

    def _close(self, conn: Any) -> None:
        self._wait_no_longer(conn)
        self.nr_conns -= 1
        conn.close()

    def _wait(self, conn: Any, event: int, then: Callable[[Any, Any], None]) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + PATIENCE_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, event, partial(then, conn))

    def _wait_no_longer(self, conn: Any) -> None:
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)


def _receive(client: socket.socket) -> bytes | None:
    """What has come; nothing at the end of the connection, None when it was a false alarm."""
    try:
        return client.recv(_RECEIVED_AT_ONCE_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
