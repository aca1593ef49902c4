"""Sharing loads inside one process: one reader loads a key, those who come meanwhile join it."""

import _thread
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

_LOOK_AGAIN_SECONDS = 0.02  # for the case that whoever was woken has been interrupted


class Latch(Protocol):
    """What `ThreadLatch` and asyncio.Event have in common."""

    def set(self) -> None:
        """Wake everybody who waits."""

    def is_set(self) -> bool:
        """Whether it has happened."""
        ...


class ThreadLatch:
    """threading.Event for threads that signal handlers interrupt: each waits on a lock of its own.

    An Event has one lock for all, which stays locked when an exception comes as it is taken or given back: from then on
    everybody who waits for it or sets it hangs.
    """

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[_thread.LockType] = []

    def set(self) -> None:
        """Wake everybody who waits; may be repeated after an interruption."""
        self._is_set = True
        for lock in self._waiting:
            with suppress(RuntimeError):  # released before
                lock.release()

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it happens in time."""
        mine = _thread.allocate_lock()
        mine.acquire()
        self._waiting.append(mine)
        if not self._is_set:  # looked at after the lock is where `set` finds it
            mine.acquire(timeout=min(max(0.0, timeout_seconds), threading.TIMEOUT_MAX))
        return self._is_set


class Places:
    """A semaphore for threads that signal handlers interrupt: no place is lost, and no lock is left locked."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken: set[object] = set()
        self._freed: SimpleQueue[None] = SimpleQueue()

    def take(self, ticket: object, timeout_seconds: float) -> bool:
        """Whether a place becomes free in time; give the ticket back in any case."""
        ends = time.monotonic() + timeout_seconds
        while True:
            self._taken.add(ticket)
            if len(self._taken) <= self._places:
                return True
            self._taken.discard(ticket)
            if (rest := ends - time.monotonic()) <= 0:
                return False
            with suppress(Empty):
                self._freed.get(timeout=min(rest, _LOOK_AGAIN_SECONDS))

    def give_back(self, ticket: object) -> None:
        """Let the next one in."""
        self._taken.discard(ticket)
        if self._freed.qsize() < self._places:
            self._freed.put(None)


class Flight:
    """One load in progress, here or in another process, and what those who joined may do with its outcome."""

    __slots__ = ("done", "error", "key", "load_began", "turn", "value", "vouched_before")

    def __init__(self, key: Hashable, done: Latch) -> None:
        self.key = key
        self.done = done
        self.turn = 0
        """Advanced before each request and before the load; who joins notes the turn."""
        self.vouched_before = 0
        self.load_began: float | None = None
        """Monotonic seconds; None: this process is not loading now."""
        self.value: Any = None
        self.error: Exception | None = None

    def vouch(self, value: object) -> None:
        """In the present turn the database was read, or the cache held or accepted this: good for who joined before.

        Who joined in this turn may have begun after a write that was acknowledged while the reply was on its way.
        """
        self.value, self.vouched_before = value, self.turn

    def good_for(self, joined: int) -> bool:
        """Whether a reader that joined in that turn may use the value."""
        return joined < self.vouched_before


class Flights:
    """The flights of one process, by key. An exception may come at any instruction: whoever waited in vain ends one."""

    def __init__(self, new_latch: Callable[[], Latch]) -> None:
        self._new_latch = new_latch
        self._open: dict[Hashable, Flight] = {}

    def new(self, key: Hashable) -> Flight:
        """A flight that nobody knows yet."""
        return Flight(key, self._new_latch())

    def enter(self, mine: Flight) -> Flight:
        """The flight to take: the one that is open for this key, or else mine."""
        return self._open.setdefault(mine.key, mine)

    def close(self, flight: Flight) -> None:
        """Let nobody join any more."""
        if self._open.get(flight.key) is flight:
            del self._open[flight.key]

    def finish(self, flight: Flight) -> None:
        """Let nobody join any more, and wake those who did."""
        self.close(flight)
        flight.done.set()

    def forget(self) -> None:
        """After a fork: the leaders are threads of the parent."""
        self._open.clear()


class Queue:
    """Loads past the cache, one at a time for the same keys: while one runs, everybody who comes gathers for the next.

    So each reader's load begins after the reader did, and however many readers there are, each waits for two loads at
    most.
    """

    def __init__(self, new_latch: Callable[[], Latch]) -> None:
        self._gathering = Flights(new_latch)
        self._running: dict[Hashable, Flight] = {}

    def new(self, keys: Hashable) -> Flight:
        """A load that nobody knows yet."""
        return self._gathering.new(keys)

    def gather(self, mine: Flight) -> Flight:
        """The next load of these keys, which has not begun: somebody else's, or else mine."""
        return self._gathering.enter(mine)

    def running(self, keys: Hashable) -> Flight | None:
        """The load of these keys that has begun."""
        return self._running.get(keys)

    def begin(self, flight: Flight) -> None:
        """From now on others gather for the load after this one."""
        self._gathering.close(flight)
        self._running[flight.key] = flight

    def finish(self, flight: Flight) -> None:
        """Wake those who gathered for it."""
        if self._running.get(flight.key) is flight:
            del self._running[flight.key]
        self._gathering.finish(flight)

    def forget(self) -> None:
        """After a fork: the leaders are threads of the parent."""
        self._gathering.forget()
        self._running.clear()
