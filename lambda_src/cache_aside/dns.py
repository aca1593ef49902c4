"""Name resolution with a timeout, which getaddrinfo lacks: a hanging name server costs no more than a hanging cache."""

import os
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

import redis

from cache_aside.flights import ThreadLatch

Addresses = list[tuple[Any, ...]]
_REUSED_SECONDS = 1.0


class Lookup:
    """What is found out about one name. Threads wait for the latch, which survives interruptions; tasks the future."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.ended = ThreadLatch()
        self.future: Future[Addresses] = Future()
        self.addresses: Addresses = []
        self.error: Exception | None = None


class Resolver:
    """Looks names up in a thread, one look-up of a name at a time: whoever needs it meanwhile waits for the same.

    An answer that came too late for whoever asked serves those who ask within the next second.
    """

    def __init__(self) -> None:
        self._lookups: dict[tuple[str, int], Lookup] = {}

    def lookup(self, host: str, port: int) -> Lookup:
        """What getaddrinfo says, at some time."""
        found = self._lookups.get((host, port))
        if found is not None and (not found.ended.is_set() or time.monotonic() - found.began < _REUSED_SECONDS):
            return found
        made = Lookup()
        threading.Thread(target=self._look_up, args=(host, port, made), name="cache-dns", daemon=True).start()
        if not made.ended.is_set():  # after the thread has started: nobody waits for one that an exception kept from it
            self._lookups[host, port] = made
        return made

    def resolve(self, host: str, port: int, timeout_seconds: float) -> Addresses:
        """The addresses.

        Raises:
            redis.TimeoutError: not in time.
            OSError: there is no such name.
        """
        lookup = self.lookup(host, port)
        if not lookup.ended.wait(timeout_seconds):
            raise redis.TimeoutError(f"{host} was not resolved in time")
        if lookup.error is not None:
            raise lookup.error
        return lookup.addresses

    def after_fork(self) -> None:
        """In the child: the threads that look up are the parent's."""
        self._lookups = {}

    def _look_up(self, host: str, port: int, lookup: Lookup) -> None:
        try:
            lookup.addresses = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            if isinstance(error, ValueError):  # a UnicodeError: no name server was asked
                error = socket.gaierror(socket.EAI_NONAME, str(error))
            self._lookups.pop((host, port), None)
            lookup.error = error
            lookup.ended.set()
            lookup.future.set_exception(error)
        else:
            lookup.began = time.monotonic()
            self._lookups[host, port] = lookup
            lookup.ended.set()
            lookup.future.set_result(lookup.addresses)


RESOLVER = Resolver()
os.register_at_fork(after_in_child=RESOLVER.after_fork)
