"""Single flight inside one process: one reader loads a key, those who come meanwhile join it."""

from collections.abc import Callable
from typing import Any, Protocol


class Latch(Protocol):
    """What threading.Event and asyncio.Event have in common."""

    def set(self) -> None:
        """Wake everybody who waits."""

    def is_set(self) -> bool:
        """Whether it has happened."""
        ...


class Flight:
    """One load in progress and, once `done`, what those who joined may do with it."""

    __slots__ = ("accepted", "done", "error", "key", "value")

    def __init__(self, key: str, done: Latch) -> None:
        self.key = key
        self.done = done
        self.accepted = False
        self.value: Any = None
        self.error: Exception | None = None

    def accept(self, value: object) -> None:
        """The cache accepted the fill: whoever joined before it was sent may use the value."""
        self.value, self.accepted = value, True


class Flights:
    """The flights of one process, by key."""

    def __init__(self, new_latch: Callable[[], Latch]) -> None:
        self._new_latch = new_latch
        self._open: dict[str, Flight] = {}

    def enter(self, key: str) -> tuple[Flight, bool]:
        """The flight to take and whether the caller leads it."""
        mine = Flight(key, self._new_latch())
        flight = self._open.setdefault(key, mine)
        return flight, flight is mine

    def close(self, flight: Flight) -> None:
        """Let nobody join any more.

        Must happen before the fill is sent: whoever joins later may have begun after a write whose deletion follows
        that fill, and would be served the value that was just invalidated.
        """
        if self._open.get(flight.key) is flight:
            del self._open[flight.key]

    def finish(self, flight: Flight) -> None:
        """Close the flight and wake those who joined it."""
        self.close(flight)
        flight.done.set()

    def forget(self) -> None:
        """After a fork: the leaders are threads of the parent."""
        self._open.clear()
