"""What is known about a server and about each connection to it, without I/O: shared by the sync and the async driver.

A connection is used by one reader at a time and belongs to nobody else meanwhile. It is given back only when every
reply that was due has been read: whatever exception comes, at whatever instruction, takes the connection and all that
was known about it away. So no reader is ever given the reply to another one's question.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from math import inf
from typing import Any

import hiredis
import msgspec
import redis

from cache_aside.credentials import AuthToken, Credentials, credentials_of, is_plain_function
from cache_aside.errors import PolicyError
from cache_aside.leases import COMPARE_AND_SET
from cache_aside.observe import log_once
from cache_aside.policy import Options
from cache_aside.steps import Command

IDENTIFY: Command = ("INFO", "replication")
BARRIER_KEY = "cache_aside:barrier"
BARRIER: Command = ("SET", BARRIER_KEY, b"", "PX", 1000)
"""A write that changes nothing for anybody, and goes to the replicas behind every write before it.

WAIT waits only for what its own connection has written, and a DEL of a key that is gone writes nothing: when a retry
repeats a DEL whose reply was lost, WAIT would confirm at once.
"""
IDENTITY_SECONDS = 1.0
"""A connection asks its server this often, in the round trip of a command, whether it still is the primary."""
_IDLE_SECONDS = 60.0
_NO_HOST = frozenset([*range(33), 127, *b":/@?#"])
_ASK_AGAIN_SECONDS = 0.5
_READS = frozenset({"GET", "MGET", "INFO"})
_BULK: frozenset[type] = frozenset({bytes, type(None)})
_NUMBER: frozenset[type] = frozenset({int})
_KINDS: dict[Any, frozenset[type]] = {
    "GET": _BULK,
    "SET": _BULK,
    "EVAL": _NUMBER,
    "DEL": _NUMBER,
    "WAIT": _NUMBER,
    "INFO": _BULK,
    "AUTH": _BULK,
}
_NO_KIND: frozenset[type] = frozenset()


class NotPrimaryError(redis.RedisError):
    """The server became a replica while its connections stayed open: what it answers may be old."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A primary endpoint.

    Args:
        host: a DNS name; it is resolved at every connection, as a failover moves it.
        port: default 6379.
        credentials: what to authenticate with; None: the server asks for nothing.
        tls: a context that verifies the server; None: plain text.
        connect_timeout_seconds: for DNS, TCP, TLS and AUTH together. Default 0.2.
        read_timeout_seconds: for a round trip. Default 0.2.
    """

    host: str
    port: int = 6379
    credentials: Credentials | None = None
    tls: ssl.SSLContext | None = None
    connect_timeout_seconds: float = 0.2
    read_timeout_seconds: float = 0.2

    @classmethod
    def of(cls, host: str, port: int, auth_token: AuthToken, tls: bool | ssl.SSLContext, options: Options) -> "Server":
        """The endpoint with these timeouts; `tls` True verifies by the system's roots.

        Raises:
            TypeError, ValueError: the host, port, token, TLS or options are none.
        """
        if not isinstance(host, str) or not host:
            raise TypeError(f"host must be a DNS name such as 'localhost', not {host!r}")
        if not _is_host(host):
            raise ValueError(f"host must be a DNS name such as 'localhost', without scheme or port, not {host!r}")
        if not isinstance(options, Options):
            raise TypeError(f"options must be Options(...), not {options!r}")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 2**16:
            raise ValueError(f"port must be an int from 1 to 65535, such as 6379, not {port!r}")
        if not isinstance(tls, bool | ssl.SSLContext):
            raise TypeError(f"tls must be True, False (plain text) or an ssl.SSLContext, not {tls!r}")
        return cls(
            host=host,
            port=port,
            credentials=credentials_of(auth_token),
            tls=ssl.create_default_context() if tls is True else (tls or None),
            connect_timeout_seconds=options.connect_timeout_seconds,
            read_timeout_seconds=options.read_timeout_seconds,
        )

    @property
    def first_seconds(self) -> float:
        """For connecting and the round trip that needs the connection, together: a slow cache costs one timeout."""
        return max(self.connect_timeout_seconds, self.read_timeout_seconds)

    @property
    def token(self) -> str | None:
        """The token that a connection opened now would send."""
        return self.credentials.token if self.credentials else None

    def refused(self, error: Exception, token: str | None) -> None:
        """If the server refused this token, read it anew for the next connection."""
        if self.credentials and isinstance(error, redis.AuthenticationError):
            self.credentials.reject(token)


def _is_host(host: str) -> bool:
    """Whether a name server or getaddrinfo could know it: a name of labels of 63 bytes at most, or an address."""
    try:
        ip_address(host)
    except ValueError:
        try:
            return not _NO_HOST.intersection(host.encode("idna"))
        except UnicodeError:
            return False
    return True


class Identity(msgspec.Struct, frozen=True):
    """What INFO replication says: a new replication id means that acknowledged deletions may have been lost."""

    is_primary: bool
    replication_id: str
    replicas: int

    @classmethod
    def parse(cls, info: object) -> "Identity":
        """Source: https://valkey.io/commands/info, section replication.

        Raises:
            redis.InvalidResponse: the reply says something else.
        """
        try:
            fields = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)  # type: ignore[attr-defined]
            replication_id, replicas = fields[b"master_replid"].decode(), int(fields[b"connected_slaves"])
            return cls(fields[b"role"] == b"master", replication_id, replicas)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise redis.exceptions.InvalidResponse(f"INFO replication says {info!r:.200}") from error


class Conversation:
    """One connection: which replies are due, who the server is, when it was authenticated and last used.

    Args:
        server: the other end, which has just accepted the connection and its credentials.
        monotonic: seconds.

    Attributes:
        identity: who the server is, as it said within the last second of use; None: not asked yet.
    """

    def __init__(self, server: Server, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server, self._monotonic = server, monotonic
        self._parser: Any = hiredis.Reader(replyError=_error)
        self._asked: Sequence[Command] = ()
        self._replies: list[Any] = []
        self._due = False
        self._identifies = False
        self._identified = -inf
        self._used = monotonic()
        credentials = server.credentials
        self._authenticated = credentials.clock() if credentials else inf
        self._outlives = credentials is None or not credentials.expire
        self.identity: Identity | None = None

    @property
    def usable(self) -> bool:
        """Whether another question may be asked: no reply is due, and it was not idle so long that it may be dead."""
        return not self._due and self._monotonic() - self._used < _IDLE_SECONDS

    @property
    def waits(self) -> bool:
        """Whether replies are due."""
        return self._due

    @property
    def must_log_in(self) -> bool:
        """Whether the server would soon hang up without another AUTH: a round trip of its own, once in hours.

        Sent together with a command, a refused AUTH would not keep the server from executing the command as the user
        that the connection still is.
        """
        if self._outlives:
            return False
        credentials = self._server.credentials
        return credentials is not None and credentials.due(self._authenticated)

    def ask(self, commands: Sequence[Command], *, identify: bool = False) -> bytes:
        """The bytes to send, now and then with the question who the server is. Their replies are due from now on."""
        if self._due:
            raise redis.ConnectionError("replies to an earlier question are due on this connection")
        now = self._monotonic()
        self._identifies = identify or now - self._identified >= IDENTITY_SECONDS
        if self._identifies:
            commands = (*commands, IDENTIFY)
        self._asked, self._replies, self._used = commands, [], now
        self._due = bool(commands)
        return pack(commands)

    def hear(self, data: bytes) -> list[Any] | None:
        """The replies, once all have arrived; None: more is to come.

        Raises:
            redis.RedisError: the server closed the connection, said something odd, or is of no use now.
        """
        if not data:
            raise redis.ConnectionError("the server closed the connection")
        replies, parser = self._replies, self._parser
        try:
            parser.feed(data)
            for command in self._asked[len(replies) :]:
                reply = parser.gets()
                if reply is False:
                    return None
                if reply.__class__ not in _KINDS.get(command[0], _NO_KIND):
                    _check(command, reply)
                replies.append(reply)
            surplus = parser.has_data()
        except hiredis.ProtocolError as error:
            raise redis.exceptions.InvalidResponse(str(error)) from error
        if surplus:
            raise redis.exceptions.InvalidResponse("the server has sent more replies than there were questions")
        if self._identifies:
            self._identify(replies.pop())
        self._due = False
        return replies

    def logged_in(self, at: float) -> None:
        """The server has accepted credentials that were asked for at that time, by their clock."""
        self._authenticated = at

    def _identify(self, info: object) -> None:
        if isinstance(info, Exception):
            raise info
        self.identity = Identity.parse(info)
        self._identified = self._used
        if not self.identity.is_primary:
            raise NotPrimaryError("the server is a replica")


def _check(command: Command, reply: object) -> None:
    """Whether this is a reply to that command: a refusal, or for many keys a list of as many values.

    Raises:
        redis.RedisError: it is none, or the server is of no use now.
    """
    if isinstance(reply, redis.ResponseError):
        return
    if isinstance(reply, redis.RedisError):
        raise reply
    if command[0] == "MGET" and isinstance(reply, list) and len(reply) == len(command) - 1:
        if not _BULK.issuperset(map(type, reply)):
            raise redis.exceptions.InvalidResponse(f"MGET was answered with {reply!r:.200}")
    elif command[0] in _KINDS or command[0] == "MGET":
        raise redis.exceptions.InvalidResponse(f"{command[0]!s} was answered with {reply!r:.200}")


def pack(commands: Sequence[Command]) -> bytes:
    """The bytes of all commands, for one write."""
    if len(commands) == 1 and commands[0][0] == "GET":  # a hit is nothing else
        key = str(commands[0][1]).encode()
        return b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key)
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for part in command:
            if not isinstance(part, bytes):
                word = _WORDS.get(part)
                if word is not None:
                    parts.append(word)
                    continue
                part = str(part).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(part), part))
    return b"".join(parts)


def _packed(word: str) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word.encode())


_WORDS: dict[str | int, bytes] = {
    word: _packed(word) for word in (*_KINDS, "MGET", "NX", "PX", "head", "tail", "all", "replication", COMPARE_AND_SET)
} | {1: _packed("1")}
"""What commands are made of again and again; the script is longer than all the rest of a fill."""


def _error(message: str) -> redis.RedisError:
    """ResponseError where the server refuses this command alone; anything else: it is of no use now."""
    match message.partition(" ")[0]:
        case "READONLY":
            return NotPrimaryError(message)
        case "NOAUTH" | "WRONGPASS":
            return redis.AuthenticationError(message)
        case "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "BUSY":
            return redis.exceptions.BusyLoadingError(message)
    return redis.ResponseError(message)


_ANSWERS = (redis.AuthenticationError, redis.exceptions.BusyLoadingError, NotPrimaryError)


class Attempts:
    """Which failures of a round trip a new connection may make good at once, each kind once; and what the rest mean.

    A server that answered READONLY or refused the token has done nothing, so anything may be repeated. A connection
    that broke after it had been idle is replaced for reads alone: a lease or a fill that was sent may still arrive.
    """

    def __init__(self, server: Server, commands: Sequence[Command]) -> None:
        self._server, self._commands = server, commands
        self._made_good: set[str] = set()

    def another(self, error: Exception, *, token: str | None, reused: bool) -> bool:
        """Whether to try again on a new connection, after an attempt with this token, on one that existed before."""
        self._server.refused(error, token)
        if isinstance(error, redis.AuthenticationError):
            kind = "token"
        elif isinstance(error, NotPrimaryError):
            kind = "replica"
        elif isinstance(error, _ANSWERS):
            return False
        elif isinstance(error, redis.ConnectionError) and reused and self._only_reads:
            kind = "idle"
        else:
            return False
        again = kind not in self._made_good
        self._made_good.add(kind)
        return again

    @property
    def _only_reads(self) -> bool:
        return all(command[0] in _READS for command in self._commands)


def doubtful(error: Exception, *, connected: bool) -> bool:
    """Whether one connection failed, which may be its own fault: a probe finds out about the server."""
    return connected and not isinstance(error, _ANSWERS)


class Trust:
    """Whether the deletions that a failover may have lost are known to be repeated on the server that answers.

    Args:
        is_replayed: asks the application's database, where its relay records them. Only True means yes; an error means
            no, and is logged.
        clock: monotonic seconds.

    Raises:
        TypeError: is_replayed is no plain function.
    """

    def __init__(self, is_replayed: Callable[[str], bool] | None, clock: Callable[[], float] = time.monotonic) -> None:
        if is_replayed is not None and not is_plain_function(is_replayed):
            raise TypeError(
                "is_replayed must be a plain function that returns True or False, such as outbox.is_replayed,"
                f" not {is_replayed!r}"
            )
        self._is_replayed = is_replayed
        self._clock = clock
        self._trusted: set[str] = set()
        self._asked: dict[str, float] = {}

    def remembered(self, replication_id: str) -> bool | None:
        """The answer as far as it is known; None: `ask`, which takes a query."""
        if replication_id in self._trusted:
            return True
        asked = self._asked.get(replication_id)
        return None if asked is None or self._clock() - asked >= _ASK_AGAIN_SECONDS else False

    def ask(self, replication_id: str) -> bool:
        """Ask the application and remember a yes for good, a no for half a second.

        Raises:
            PolicyError: a policy fails closed, but the client was not told whom to ask.
        """
        if self._is_replayed is None:
            raise PolicyError("a policy with fail_closed needs a client that was connected with is_replayed")
        self._asked[replication_id] = self._clock()
        try:
            replayed = self._is_replayed(replication_id)
        except Exception as error:  # noqa: BLE001 - whatever keeps the application from knowing, it does not know
            log_once("is_replayed", "is_replayed failed, so nobody trusts the cache", error)
            replayed = False
        if not isinstance(replayed, bool):
            error = TypeError(f"is_replayed must return True or False, not {replayed!r:.100}")
            log_once("is_replayed type", "is_replayed says neither yes nor no, so nobody trusts the cache", error)
            replayed = False
        if replayed:
            self._trusted.add(replication_id)
        return replayed
