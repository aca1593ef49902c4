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
    """One load in progress, here or in another process, and what those who joined may do with its outcome."""

    __slots__ = ("done", "error", "key", "turn", "value", "vouched_before")

    def __init__(self, key: str, done: Latch) -> None:
        self.key = key
        self.done = done
        self.turn = 0
        """Advanced before each request and before the load; who joins notes the turn."""
        self.vouched_before = 0
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
    """The flights of one process, by key."""

    def __init__(self, new_latch: Callable[[], Latch]) -> None:
        self._new_latch = new_latch
        self._open: dict[str, Flight] = {}

    def enter(self, key: str) -> tuple[Flight, bool]:
        """The flight to take and whether the caller leads it."""
        mine = Flight(key, self._new_latch())
        flight = self._open.setdefault(key, mine)
        return flight, flight is mine

    def finish(self, flight: Flight) -> None:
        """Let nobody join any more, and wake those who did."""
        if self._open.get(flight.key) is flight:
            del self._open[flight.key]
        flight.done.set()

    def forget(self) -> None:
        """After a fork: the leaders are threads of the parent."""
        self._open.clear()
