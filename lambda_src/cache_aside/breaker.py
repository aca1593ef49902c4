"""A circuit breaker."""

import threading
import time
from collections.abc import Callable


class Breaker:
    """Keeps callers from waiting for a server that just failed: after a failure one call an interval goes through, as
    a probe.

    A success closes it again. Open, it answers in microseconds.
    """

    def __init__(self, *, probe_interval_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = probe_interval_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._next_probe: float | None = None

    def allows(self) -> bool:
        """Whether to make a call now. True obliges to report how it went."""
        if self._next_probe is None:
            return True
        with self._lock:
            now = self._clock()
            if self._next_probe is not None and now < self._next_probe:
                return False
            self._next_probe = now + self._interval
            return True

    def succeeded(self) -> None:
        """Closes the breaker."""
        self._next_probe = None

    def failed(self) -> None:
        """Opens the breaker for an interval."""
        self._next_probe = self._clock() + self._interval
