"""The connections of the synchronous client: one a thread, opened when the thread first needs it."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from cache_aside.attempts import Attempts, is_outage
from cache_aside.breaker import Breaker
from cache_aside.channel import Channel
from cache_aside.commands import Op
from cache_aside.errors import CacheUnavailableError
from cache_aside.observe import SILENT, Event, Observer
from cache_aside.server import Identity, Server
from cache_aside.trust import Trust

_log = logging.getLogger("cache_aside")


class _Local(threading.local):
    channel: Channel | None = None


class Link:
    """Executes round trips for many threads: breaker, reconnects, credentials, trust."""

    def __init__(
        self,
        server: Server,
        *,
        breaker: Breaker,
        trust: Trust,
        background: bool = False,
        observer: Observer = SILENT,
    ) -> None:
        self._server, self._breaker, self._trust, self._observer = server, breaker, trust, observer
        self._background = background
        self._local = _Local()

    def execute(self, ops: Sequence[Op], fail_closed: bool = False) -> list[Any]:
        """One round trip.

        Raises:
            CacheUnavailableError: the circuit is open, the round trip failed, or the server is not trusted.
        """
        if self._breaker.is_open and (self._background or not self._breaker.take_probe() or not self.probe()):
            raise CacheUnavailableError("the circuit is open")
        channel = self._channel()
        try:
            replies = self._trip(channel, ops)
        except redis.RedisError as error:
            self._failed(channel, error)
            raise CacheUnavailableError(str(error)) from error
        if fail_closed and not self._trusted(channel):
            raise CacheUnavailableError("this server may hold values whose deletion a failover lost")
        return replies

    def deliver(self, ops: Sequence[Op], timeout_seconds: float, *, fresh: bool) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary, whatever the breaker thinks; on a new connection if `fresh`.

        Raises:
            CacheUnavailableError: it failed; the connection is closed.
        """
        channel = self._channel()
        if fresh:
            channel.close()
        token = self._server.token
        try:
            return channel.trip_within(ops, timeout_seconds)
        except redis.RedisError as error:
            channel.close()
            self._server.refused(error, token)
            raise CacheUnavailableError(str(error)) from error

    def probe(self) -> bool:
        """Whether a new connection reaches the primary; if so, close the circuit."""
        seconds = self._breaker.probe_timeout_seconds
        hurried = msgspec.structs.replace(self._server, connect_timeout_seconds=seconds, read_timeout_seconds=seconds)
        channel = Channel(hurried)
        try:
            self._trip(channel, ())
        except redis.RedisError:
            self._observer.on_event("", Event.CACHE_ERROR, 0.0)
            return False
        finally:
            channel.close()
        self._breaker.close()
        _log.warning("the cache is available again")
        return True

    def after_fork(self) -> None:
        """In the child: the connections and the probing thread are the parent's."""
        self._local = _Local()
        self._breaker.close()
        if self._server.credentials is not None:
            self._server.credentials.after_fork()

    def close(self) -> None:
        """Close the calling thread's connection; those of other threads end with their threads."""
        self._channel().close()

    def _channel(self) -> Channel:
        channel = self._local.channel
        if channel is None:
            channel = self._local.channel = Channel(self._server)
        return channel

    def _trip(self, channel: Channel, ops: Sequence[Op]) -> list[Any]:
        attempts = Attempts(self._server, ops)
        while True:
            attempts.begin(reused=channel.connected)
            try:
                return channel.trip(ops)
            except redis.RedisError as error:
                if not attempts.another(error):
                    raise
                channel.close()

    def _failed(self, channel: Channel, error: redis.RedisError) -> None:
        self._observer.on_event("", Event.CACHE_ERROR, 0.0)
        if is_outage(error):
            channel.close()
            if self._breaker.trip():
                _log.warning("the cache is unavailable, readers go past it: %s", error)
                if self._background:
                    threading.Thread(target=self._probe_until_closed, name="cache-probe", daemon=True).start()

    def _probe_until_closed(self) -> None:
        while self._breaker.is_open:
            time.sleep(self._breaker.probe_interval_seconds)
            self.probe()

    def _trusted(self, channel: Channel) -> bool:
        if channel.identity is None:
            return False
        remembered = self._trust.remembered(channel.identity.replication_id)
        return self._trust.ask(channel.identity.replication_id) if remembered is None else remembered
