"""Name resolution with a timeout, which getaddrinfo lacks: a hanging name server costs no more than a hanging cache."""

import os
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

import redis

Addresses = list[tuple[Any, ...]]
_REUSED_SECONDS = 1.0


class Resolver:
    """Looks names up in a thread, one look-up of a name at a time: whoever needs it meanwhile waits for the same.

    An answer that came too late for whoever asked serves those who ask within the next second.
    """

    def __init__(self) -> None:
        self._lookups: dict[tuple[str, int], tuple[Future[Addresses], float]] = {}

    def lookup(self, host: str, port: int) -> "Future[Addresses]":
        """What getaddrinfo says, at some time."""
        found = self._lookups.get((host, port))
        if found is not None and (not found[0].done() or time.monotonic() - found[1] < _REUSED_SECONDS):
            return found[0]
        future: Future[Addresses] = Future()
        threading.Thread(target=self._look_up, args=(host, port, future), name="cache-dns", daemon=True).start()
        if not future.done():  # after the thread has started: nobody waits for one that an exception kept from it
            self._lookups[host, port] = future, time.monotonic()
        return future

    def resolve(self, host: str, port: int, timeout_seconds: float) -> Addresses:
        """The addresses.

        Raises:
            redis.TimeoutError: not in time.
            OSError: there is no such name.
        """
        try:
            return self.lookup(host, port).result(timeout_seconds)
        except TimeoutError:
            raise redis.TimeoutError(f"{host} was not resolved in time") from None

    def after_fork(self) -> None:
        """In the child: the threads that look up are the parent's."""
        self._lookups = {}

    def _look_up(self, host: str, port: int, future: "Future[Addresses]") -> None:
        try:
            found: Addresses = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            self._lookups.pop((host, port), None)
            future.set_exception(error)
        else:
            self._lookups[host, port] = future, time.monotonic()
            future.set_result(found)


RESOLVER = Resolver()
os.register_at_fork(after_in_child=RESOLVER.after_fork)
