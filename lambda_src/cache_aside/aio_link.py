"""The connections of the asynchronous client: a few, shared by all tasks of one event loop."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from cache_aside.aio_channel import AsyncChannel
from cache_aside.attempts import Attempts, is_outage
from cache_aside.breaker import Breaker
from cache_aside.commands import Op
from cache_aside.errors import CacheUnavailableError
from cache_aside.observe import SILENT, Event, Observer
from cache_aside.server import Identity, Server
from cache_aside.trust import Trust

_log = logging.getLogger("cache_aside")


class AsyncLink:
    """Executes round trips for many tasks: breaker, reconnects, credentials, trust. `Link` without threads."""

    def __init__(
        self,
        server: Server,
        *,
        breaker: Breaker,
        trust: Trust,
        connections: int,
        background: bool = False,
        observer: Observer = SILENT,
    ) -> None:
        self._server, self._breaker, self._trust, self._observer = server, breaker, trust, observer
        self._background = background
        self._idle: list[AsyncChannel] = []
        self._places = asyncio.Semaphore(connections)
        self._prober: asyncio.Task[None] | None = None

    async def execute(self, ops: Sequence[Op], fail_closed: bool = False) -> list[Any]:
        """One round trip.

        Raises:
            CacheUnavailableError: the circuit is open, the round trip failed, or the server is not trusted.
        """
        async with self._places:
            if self._breaker.is_open and (self._background or not self._breaker.take_probe() or not await self.probe()):
                raise CacheUnavailableError("the circuit is open")
            channel = self._idle.pop() if self._idle else AsyncChannel(self._server)
            try:
                replies = await self._trip(channel, ops)
                if fail_closed and not await self._trusted(channel):
                    raise CacheUnavailableError("this server may hold values whose deletion a failover lost")
            except redis.RedisError as error:
                await self._failed(channel, error)
                raise CacheUnavailableError(str(error)) from error
            finally:
                self._idle.append(channel)
        return replies

    async def deliver(self, ops: Sequence[Op], timeout_seconds: float, *, fresh: bool) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary, whatever the breaker thinks; on a new connection if `fresh`.

        Not counted among the connections of readers: it must not wait behind those that hang.

        Raises:
            CacheUnavailableError: it failed; the connection is closed.
        """
        channel = AsyncChannel(self._server) if fresh or not self._idle else self._idle.pop()
        token = self._server.token
        try:
            delivered = await channel.trip_within(ops, timeout_seconds)
        except redis.RedisError as error:
            await channel.close()
            self._server.refused(error, token)
            raise CacheUnavailableError(str(error)) from error
        self._idle.append(channel)
        return delivered

    async def probe(self) -> bool:
        """Whether a new connection reaches the primary; if so, close the circuit."""
        seconds = self._breaker.probe_timeout_seconds
        hurried = msgspec.structs.replace(self._server, connect_timeout_seconds=seconds, read_timeout_seconds=seconds)
        channel = AsyncChannel(hurried)
        try:
            await self._trip(channel, ())
        except redis.RedisError:
            self._observer.on_event("", Event.CACHE_ERROR, 0.0)
            return False
        finally:
            await channel.close()
        self._breaker.close()
        _log.warning("the cache is available again")
        return True

    async def close(self) -> None:
        """Close every connection."""
        if self._prober is not None:
            self._prober.cancel()
        while self._idle:
            await self._idle.pop().close()

    async def _trip(self, channel: AsyncChannel, ops: Sequence[Op]) -> list[Any]:
        attempts = Attempts(self._server, ops)
        while True:
            attempts.begin(reused=channel.connected)
            try:
                return await channel.trip(ops)
            except redis.RedisError as error:
                if not attempts.another(error):
                    raise
                await channel.close()

    async def _failed(self, channel: AsyncChannel, error: redis.RedisError) -> None:
        self._observer.on_event("", Event.CACHE_ERROR, 0.0)
        if is_outage(error):
            await channel.close()
            if self._breaker.trip():
                _log.warning("the cache is unavailable, readers go past it: %s", error)
                if self._background:
                    self._prober = asyncio.create_task(self._probe_until_closed())

    async def _probe_until_closed(self) -> None:
        while self._breaker.is_open:
            await asyncio.sleep(self._breaker.probe_interval_seconds)
            await self.probe()

    async def _trusted(self, channel: AsyncChannel) -> bool:
        if channel.identity is None:
            return False
        replication_id = channel.identity.replication_id
        remembered = self._trust.remembered(replication_id)
        return await asyncio.to_thread(self._trust.ask, replication_id) if remembered is None else remembered
