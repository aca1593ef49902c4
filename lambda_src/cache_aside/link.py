"""The connections of the synchronous client: one a thread, opened when the thread first needs it."""

import inspect
import select
import socket
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from math import inf
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from cache_aside.breaker import Breaker, Circuits
from cache_aside.connection import Attempts, Conversation, Identity, Server, Trust, doubtful, pack
from cache_aside.dns import RESOLVER
from cache_aside.errors import CacheUnavailableError
from cache_aside.observe import SILENT, Observer
from cache_aside.steps import Command, Deliver, RoundTrip

_CHUNK_BYTES = 65536
PROBE_STEPS = 4
_SHORTEST_TIMEOUT_SECONDS = 0.001


class Transport(Protocol):
    """What the synchronous client needs of its connections; `Link` has it, and so have the fakes of the tests."""

    def execute(self, trip: RoundTrip) -> list[Any]:
        """One round trip; CacheUnavailableError when it fails."""
        ...

    def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary past the breaker."""
        ...

    def after_fork(self) -> None:
        """Drop what belongs to the parent process."""

    def close(self) -> None:
        """Close what the calling thread holds."""


@cache
def _silence(connection_class: type) -> dict[str, Any]:
    bases = connection_class.__mro__[:-1]
    known = {name for base in bases for name in inspect.signature(base.__init__).parameters}  # type: ignore[misc]
    quiet = ("driver_info",) if "driver_info" in known else ("lib_name", "lib_version")
    options: dict[str, Any] = {name: None for name in quiet if name in known}
    if "maint_notifications_config" in known:
        config = import_module("redis.maint_notifications").MaintNotificationsConfig
        options["maint_notifications_config"] = config(enabled=False)
    return options


def handshake(server: Server, timeout_seconds: float, connection_class: Any) -> dict[str, Any]:
    """How redis-py greets the server, with whatever this release of it would do besides switched off.

    RESP2, because its handshake is one round trip shorter than RESP3's and hits are as fast; no retries, because the
    breaker decides; no maintenance notifications and no CLIENT SETINFO, which cost round trips.
    """
    options = {
        "host": server.host,
        "port": server.port,
        "credential_provider": server.credentials,
        "socket_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    return options | _silence(connection_class)


class _Greeting(Connection):
    """redis-py's connection, which authenticates. `_connect` is the one private method that is overridden.

    It resolves within a timeout, has one deadline for TCP and TLS, and shares a TLS context whose making takes 25 ms.
    """

    def __init__(self, server: Server, timeout_seconds: float, step_seconds: float) -> None:
        options = handshake(server, step_seconds, type(self))
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._server, self._step = server, step_seconds
        self._deadline = time.monotonic() + timeout_seconds

    def _connect(self) -> socket.socket:
        server, failure = self._server, OSError("the name has no address")
        for family, kind, protocol, _, address in RESOLVER.resolve(server.host, server.port, self._timeout()):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                opened.settimeout(self._timeout())
                opened.connect(address)
                if server.tls is not None:
                    opened.settimeout(self._timeout())
                    opened = server.tls.wrap_socket(opened, server_hostname=server.host)
                opened.settimeout(self._timeout())
            except OSError as error:
                opened.close()
                failure = error
            else:
                return opened
        raise failure

    def _timeout(self) -> float:
        return min(self._step, rest(self._deadline))


class Channel:
    """An open connection.

    Args:
        server: what to connect to.
        timeout_seconds: for DNS, TCP, TLS and AUTH together.
        step_seconds: for each of them. Default: no less.

    Raises:
        redis.RedisError, OSError: it cannot be opened in time.
    """

    def __init__(self, server: Server, timeout_seconds: float, step_seconds: float = inf) -> None:
        self._greeting: Any = _Greeting(server, timeout_seconds, min(step_seconds, timeout_seconds))
        self._greeting.connect()  # type: ignore[no-untyped-call]
        self._server = server
        connected: Any = self._greeting._sock
        self._socket = connected
        self._timeout: float | None = None
        self._sent = True
        self.conversation = Conversation(server)
        self._unread = select.poll()
        self._unread.register(connected, select.POLLIN)

    @property
    def usable(self) -> bool:
        """Whether another question may be asked: nobody has hung up, and nothing is there that nobody asked for.

        It would be taken for the answer. The half microsecond that a look at the socket takes is a fiftieth of a hit.
        """
        return self.conversation.usable and not self._unread.poll(0)

    def trip(self, commands: Sequence[Command], timeout_seconds: float, *, identify: bool = False) -> list[Any]:
        """Send everything at once and read every reply.

        Raises:
            redis.RedisError, OSError: what went wrong; the channel is of no more use.
        """
        conversation = self.conversation
        if conversation.must_log_in and (credentials := self._server.credentials) is not None:
            now = credentials.clock()
            accepted(self._exchange(conversation.ask((("AUTH", *credentials.get_credentials()),)), timeout_seconds))
            conversation.logged_in(now)
        return self._exchange(conversation.ask(commands, identify=identify), timeout_seconds)

    def _exchange(self, question: bytes, timeout_seconds: float) -> list[Any]:
        if timeout_seconds != self._timeout:
            self._set_timeout(timeout_seconds)
        self._sent = False
        self._socket.sendall(question)
        self._sent = True
        replies = self.conversation.hear(self._socket.recv(_CHUNK_BYTES))
        if replies is None:
            deadline = time.monotonic() + timeout_seconds
            while replies is None:
                self._set_timeout(rest(deadline))
                replies = self.conversation.hear(self._socket.recv(_CHUNK_BYTES))
        return replies

    def close(self, undo: Sequence[Command] = ()) -> None:
        """Close it; `undo` goes out before, behind a question that was sent whole, if that does not block."""
        try:
            if undo and self._sent:
                self._set_timeout(0)
                self._socket.send(pack(undo))
                self._socket.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):
            pass
        finally:
            self._greeting.disconnect()

    def _set_timeout(self, seconds: float) -> None:
        self._timeout = None
        self._socket.settimeout(seconds)
        self._timeout = seconds


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
        self._server, self._trust, self._circuits = server, trust, Circuits(breaker, observer)
        self._background = background
        self._local = _Local()

    def execute(self, trip: RoundTrip) -> list[Any]:
        """One round trip.

        Raises:
            CacheUnavailableError: the circuit is open, the round trip failed, or the server is not trusted.
        """
        breaker = self._circuits.of(trip.commands)
        if breaker.is_open and not self._recovered(breaker):
            raise CacheUnavailableError("the circuit is open")
        replies, identity = self._attempt(trip, breaker)
        if trip.fail_closed and not self._trusted(identity):
            if trip.undo and not trip.owed:  # nobody looks at these replies, so whatever was won is given back
                self._attempt(RoundTrip(trip.undo, undo=trip.undo), breaker)
            raise CacheUnavailableError("this server may hold values whose deletion a failover lost")
        return replies

    def deliver(self, delivery: Deliver) -> tuple[list[Any], Identity]:
        """One attempt to reach the primary, whatever the breaker thinks.

        Raises:
            CacheUnavailableError: it failed; the connection is closed.
        """
        deadline = time.monotonic() + delivery.timeout_seconds
        token, channel = self._server.token, self._take()
        if delivery.fresh:
            _close(channel)
            channel = None
        try:
            if channel is None:
                channel = Channel(self._server, min(self._server.connect_timeout_seconds, delivery.timeout_seconds))
            replies = channel.trip(delivery.commands, rest(deadline), identify=True)
        except (redis.RedisError, OSError) as error:
            _close(channel)
            self._server.refused(error, token)
            raise CacheUnavailableError(str(error)) from error
        self._local.channel = channel
        identity = channel.conversation.identity
        assert identity is not None, "deliveries ask"  # noqa: S101
        return replies, identity

    def after_fork(self) -> None:
        """In the child: the connections are the parent's."""
        self._local = _Local()
        self._circuits.after_fork()
        if self._server.credentials is not None:
            self._server.credentials.after_fork()

    def close(self) -> None:
        """Close the calling thread's connection; those of other threads end with their threads."""
        _close(self._take())

    def _take(self) -> Channel | None:
        """The thread's connection, nobody's until it is given back: a signal handler that reads gets its own."""
        channel, self._local.channel = self._local.channel, None
        if channel is not None and not channel.usable:
            _close(channel)
            return None
        return channel

    def _attempt(self, trip: RoundTrip, breaker: Breaker) -> tuple[list[Any], Identity | None]:
        server, attempts, timeout = self._server, None, trip.timeout_seconds
        deadline = inf if timeout == inf else time.monotonic() + timeout
        while True:
            token, channel = server.token, self._take()
            reused = channel is not None
            try:
                if channel is None:
                    deadline = min(deadline, time.monotonic() + server.first_seconds)
                    channel = Channel(server, min(server.connect_timeout_seconds, rest(deadline)))
                seconds = server.read_timeout_seconds
                replies = channel.trip(trip.commands, seconds if deadline == inf else min(seconds, rest(deadline)))
            except (redis.RedisError, OSError) as error:
                _close(channel, trip.undo)
                failure = meaning(error)
                attempts = attempts or Attempts(server, trip.commands)
                if not attempts.another(failure, token=token, reused=reused):
                    self._failed(breaker, failure, doubtful=doubtful(failure, connected=channel is not None))
                    raise CacheUnavailableError(str(error)) from error
            except BaseException:
                _close(channel, trip.undo)
                raise
            else:
                self._local.channel = channel
                return replies, channel.conversation.identity

    def _failed(self, breaker: Breaker, error: Exception, *, doubtful: bool) -> None:
        if self._circuits.failed(breaker, error, doubtful=doubtful):
            self._probe_somewhere(breaker, error)

    def _recovered(self, breaker: Breaker) -> bool:
        """Whether the circuit has closed by the probe that was due."""
        return breaker.take_probe() and self._probe_somewhere(breaker)

    def _probe_somewhere(self, breaker: Breaker, suspicion: Exception | None = None) -> bool:
        """Probe in a thread where that is allowed and possible, or else here. False as long as nobody knows."""
        if self._background:
            try:
                threading.Thread(target=self.probe, args=(breaker, suspicion), name="cache-probe", daemon=True).start()
            except RuntimeError:
                pass  # no thread can start: this reader probes
            else:
                return False
        return self.probe(breaker, suspicion)

    def probe(self, breaker: Breaker, suspicion: Exception | None = None) -> bool:
        """Whether a new connection reaches the primary: if so the circuit is closed, and opened if not."""
        return self._circuits.probed(breaker, self._out_of_reach(breaker), suspicion)

    def _out_of_reach(self, breaker: Breaker) -> Exception | None:
        """What keeps a new connection from doing what this circuit is for; None: it does it."""
        seconds = breaker.probe_timeout_seconds
        attempts, channel = Attempts(self._server, ()), None
        while True:
            token = self._server.token
            try:
                channel = Channel(self._server, PROBE_STEPS * seconds, seconds)
                channel.trip(self._circuits.probe(breaker), seconds)
            except Exception as error:  # noqa: BLE001 - whatever keeps it from answering
                if not attempts.another(error, token=token, reused=False):
                    return error
            else:
                return None
            finally:
                _close(channel)

    def _trusted(self, identity: Identity | None) -> bool:
        if identity is None:
            return False
        remembered = self._trust.remembered(identity.replication_id)
        return self._trust.ask(identity.replication_id) if remembered is None else remembered


def meaning(error: Exception) -> redis.RedisError:
    """What went wrong, in redis-py's words."""
    if isinstance(error, redis.RedisError):
        return error
    if isinstance(error, TimeoutError):
        return redis.TimeoutError(str(error) or "the cache did not answer in time")
    return redis.ConnectionError(str(error))


def accepted(replies: list[Any]) -> None:
    """What AUTH was answered.

    Raises:
        redis.AuthenticationError: anything but yes.
    """
    if isinstance(replies[0], Exception):
        raise redis.AuthenticationError(str(replies[0]))


def rest(deadline: float) -> float:
    """What is left, never nothing: a timeout of 0 would mean not to wait at all."""
    return inf if deadline == inf else max(deadline - time.monotonic(), _SHORTEST_TIMEOUT_SECONDS)


def _close(channel: Channel | None, undo: Sequence[Command] = ()) -> None:
    if channel is not None:
        channel.close(undo)
