"""One connection of the synchronous client, and what is known about the server at its other end."""

import ssl
import time
from collections.abc import Sequence
from functools import partial
from socket import socket
from typing import Any

import redis
from redis.connection import Connection, SSLConnection

from cache_aside.commands import Op
from cache_aside.server import IDENTIFY, Identity, NotPrimaryError, Server, pack


class _TlsConnection(SSLConnection):
    """Shares one context: making one takes 25 ms, for which redis-py would hold up every reconnect."""

    def __init__(self, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self._context = context

    def _wrap_socket_with_ssl(self, sock: socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(sock, server_hostname=self.host)


class Channel:
    """A connection that opens itself when it is used."""

    def __init__(self, server: Server) -> None:
        self._server = server
        options = server.options | {"socket_timeout": server.read_timeout_seconds}
        connect: Any = partial(_TlsConnection, server.tls) if server.tls else Connection
        self._connection = connect(**options)
        self._identified = self._authenticated = float("-inf")
        self.identity: Identity | None = None

    @property
    def connected(self) -> bool:
        """Whether the next command goes out on a connection that exists."""
        return bool(self._connection.is_connected)

    def trip(self, ops: Sequence[Op]) -> list[Any]:
        """Send everything at once and read every reply; now and then with the question who the server is.

        Raises:
            redis.RedisError: what went wrong, or the first error reply.
        """
        asks = self.identity is None or time.monotonic() - self._identified >= self._server.identity_seconds
        replies = self._exchange((*ops, IDENTIFY) if asks else ops)
        if asks:
            self._identify(replies.pop())
        return replies

    def trip_within(self, ops: Sequence[Op], timeout_seconds: float) -> tuple[list[Any], Identity]:
        """The same with a timeout of its own for each reply, and with the server's identity as it is now."""
        self._set_timeout(timeout_seconds)
        replies = self._exchange((*ops, IDENTIFY))
        self._set_timeout(self._server.read_timeout_seconds)
        return replies, self._identify(replies.pop())

    def close(self) -> None:
        """Close the connection; the next trip opens a new one."""
        self.identity = None
        self._connection.disconnect()
        self._connection.socket_timeout = self._server.read_timeout_seconds

    def _exchange(self, ops: Sequence[Op]) -> list[Any]:
        self._authenticate_in_time()
        return self._send(ops)

    def _authenticate_in_time(self) -> None:
        """Connecting authenticates by itself. Whoever authenticates by IAM must do it again before AWS hangs up.

        A round trip of its own, once in hours: sent together with a command, a refused AUTH would not keep the server
        from executing the command as the user that the connection still is.
        """
        if (credentials := self._server.credentials) is None:
            return
        if not self.connected:
            self._authenticated = credentials.clock()
        elif credentials.due(self._authenticated):
            now = credentials.clock()
            self._send((("AUTH", *credentials.get_credentials()),))
            self._authenticated = now

    def _send(self, ops: Sequence[Op]) -> list[Any]:
        self._connection.send_packed_command((pack(ops),), check_health=False)
        replies = [self._read() for _ in ops]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _read(self) -> Any:
        try:
            return self._connection.read_response()
        except redis.ResponseError as error:
            return error

    def _identify(self, info: bytes) -> Identity:
        self.identity = Identity.parse(info)
        self._identified = time.monotonic()
        if not self.identity.is_primary:
            raise NotPrimaryError("the server is a replica")
        return self.identity

    def _set_timeout(self, seconds: float) -> None:
        self._connection.socket_timeout = seconds
        self._connection.update_current_socket_timeout(seconds)
