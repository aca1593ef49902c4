"""An in-memory server that answers the commands this package sends, by a clock that tests move; and a socket to it."""

import socket
from collections.abc import Callable
from typing import Any

import hiredis

from cache_aside.leases import COMPARE_AND_SET
from cache_aside.steps import Command

INFO = b"role:%s\r\nconnected_slaves:%d\r\nmaster_replid:%s\r\n"


class FakeServer:
    """One primary. `clock` returns seconds; expiry follows it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._data: dict[str, tuple[bytes, float]] = {}
        self.role, self.replicas, self.replication_id = b"master", 0, b"a" * 40
        self.acknowledging_replicas = 0

    def execute(self, op: Command) -> object:
        """Run one command."""
        return getattr(self, f"_{str(op[0]).lower()}")(*op[1:])

    def peek(self, key: str) -> bytes | None:
        """What a key holds."""
        value, expires = self._data.get(key, (None, 0.0))
        return value if self._clock() < expires else None

    def put(self, key: str, value: bytes, ttl_ms: int | None = None) -> None:
        """Set a key, as another program might."""
        self._data[key] = (value, float("inf") if ttl_ms is None else self._clock() + ttl_ms / 1000)

    def _pttl(self, key: str) -> int:
        return round((self._data[key][1] - self._clock()) * 1000)

    def _get(self, key: str) -> bytes | None:
        return self.peek(key)

    def _mget(self, *keys: str) -> list[bytes | None]:
        return [self.peek(key) for key in keys]

    def _set(self, key: str, value: bytes, *options: str | int) -> bytes | str | None:
        *flags, px, ttl_ms = options
        assert flags in ([], ["NX", "GET"])
        assert px == "PX"
        held = self.peek(key)
        if held is None or not flags:
            self._store(key, value, int(ttl_ms))
        return held if flags else "OK"

    def _eval(self, script: str, keys: int, key: str, *arguments: Any) -> object:
        assert keys == 1
        assert script == COMPARE_AND_SET
        return self._compare_and_set(key, *arguments)

    def _compare_and_set(self, key: str, old: bytes, new: bytes, ttl_ms: int, scope: str) -> int:
        held = self.peek(key)
        if held is None or not held.startswith(old) or (scope == "all" and held != old):
            return 0
        if new:
            self._store(key, new + (held[len(new) :] if scope == "tail" else b""), ttl_ms)
        else:
            del self._data[key]
        return 1

    def _del(self, *keys: str) -> int:
        return sum(self._data.pop(key, None) is not None for key in keys)

    def _info(self, section: str) -> bytes:
        return INFO % (self.role, self.replicas, self.replication_id)

    def _auth(self, *credentials: str) -> str:
        return "OK"

    def _wait(self, replicas: int, timeout_ms: int) -> int:
        return self.acknowledging_replicas

    def _store(self, key: str, value: bytes, ttl_ms: int) -> None:
        assert ttl_ms > 0, "the server refuses an expiry of zero"
        self._data[key] = (value, self._clock() + ttl_ms / 1000)


class FakeSocket:
    """One connection to the server: it executes what it is sent at once, and keeps the replies until they are read."""

    def __init__(self, server: FakeServer) -> None:
        self._server, self._questions, self._replies = server, hiredis.Reader(), b""
        self._ends = socket.socketpair()

    def fileno(self) -> int:
        """Of a connection on which nothing ever arrives."""
        return self._ends[0].fileno()

    def sendall(self, data: bytes) -> None:
        """Execute every command that is whole now."""
        self._questions.feed(data)
        while (command := self._questions.gets()) is not False:
            self._replies += packed(self._server.execute(typed(*command)))

    def send(self, data: bytes) -> int:
        """All of it."""
        self.sendall(data)
        return len(data)

    def recv(self, most: int) -> bytes:
        """The replies that have not been read."""
        data, self._replies = self._replies[:most], self._replies[most:]
        return data

    def settimeout(self, seconds: float) -> None:
        """Nobody waits."""

    def shutdown(self, how: int) -> None:
        """Nothing is held."""


def typed(name: bytes, *parts: bytes) -> Command:
    """A command that came over a connection, as the package makes it."""
    match name, parts:
        case b"SET", (key, value, *options):
            return ("SET", key.decode(), value, *(part.decode() for part in options))
        case b"EVAL", (script, _, key, old, new, ttl_ms, scope):
            return ("EVAL", script.decode(), 1, key.decode(), old, new, int(ttl_ms), scope.decode())
    return (name.decode(), *(part.decode() for part in parts))


def packed(reply: object) -> bytes:
    """A reply as it goes over a connection."""
    match reply:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case list():
            return b"*%d\r\n%b" % (len(reply), b"".join(map(packed, reply)))
        case str():
            return f"+{reply}\r\n".encode()
    return f":{reply}\r\n".encode()
