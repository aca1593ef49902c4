"""One connection of the asynchronous client, and what is known about the server at its other end."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import redis
from redis.asyncio.connection import Connection, SSLConnection

from cache_aside.commands import Op
from cache_aside.credentials import Credentials
from cache_aside.server import IDENTIFY, Identity, NotPrimaryError, Server, pack


class AsyncChannel:
    """A connection that opens itself when it is used."""

    def __init__(self, server: Server) -> None:
        self._server = server
        connect: Any = partial(SSLConnection, ssl_check_hostname=True) if server.tls else Connection
        # No timeout of redis-py's own for replies: one around the whole round trip costs less.
        self._connection = connect(**server.options, socket_timeout=None)
        if server.tls:
            self._connection.ssl_context.context = server.tls
        self._identified = self._authenticated = float("-inf")
        self.identity: Identity | None = None

    @property
    def connected(self) -> bool:
        """Whether the next command goes out on a connection that exists."""
        return bool(self._connection.is_connected)

    async def trip(self, ops: Sequence[Op]) -> list[Any]:
        """Send everything at once and read every reply; now and then with the question who the server is.

        Raises:
            redis.RedisError: what went wrong, or the first error reply.
        """
        asks = self.identity is None or time.monotonic() - self._identified >= self._server.identity_seconds
        replies = await self._exchange((*ops, IDENTIFY) if asks else ops, self._server.read_timeout_seconds)
        if asks:
            self._identify(replies.pop())
        return replies

    async def trip_within(self, ops: Sequence[Op], timeout_seconds: float) -> tuple[list[Any], Identity]:
        """The same with a timeout of its own, and with the server's identity as it is now."""
        replies = await self._exchange((*ops, IDENTIFY), timeout_seconds)
        return replies, self._identify(replies.pop())

    async def close(self) -> None:
        """Close the connection; the next trip opens a new one."""
        self.identity = None
        await self._connection.disconnect(nowait=True)

    async def _exchange(self, ops: Sequence[Op], timeout_seconds: float) -> list[Any]:
        credentials = self._server.credentials
        try:
            if not self.connected or (credentials and credentials.due(self._authenticated)):
                async with asyncio.timeout(self._server.connect_timeout_seconds):
                    await self._authenticate(credentials)
            async with asyncio.timeout(timeout_seconds):
                return await self._send(ops)
        except TimeoutError as error:
            raise redis.TimeoutError("the cache did not answer in time") from error

    async def _authenticate(self, credentials: Credentials | None) -> None:
        """By connecting, or anew on the connection that there is: see `Channel`."""
        now = credentials.clock() if credentials else 0.0
        if not self.connected:
            await self._connection.connect_check_health(check_health=False)
        elif credentials:
            await self._send((("AUTH", *await credentials.get_credentials_async()),))
        self._authenticated = now

    async def _send(self, ops: Sequence[Op]) -> list[Any]:
        await self._connection.send_packed_command(pack(ops), check_health=False)
        replies = [await self._read() for _ in ops]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _read(self) -> Any:
        try:
            return await self._connection.read_response()
        except redis.ResponseError as error:
            return error

    def _identify(self, info: bytes) -> Identity:
        self.identity = Identity.parse(info)
        self._identified = time.monotonic()
        if not self.identity.is_primary:
            raise NotPrimaryError("the server is a replica")
        return self.identity
