"""The circuit breaker: after one failure readers go past the cache at once, and a probe finds out when it is back."""

import time
from collections.abc import Callable


class Breaker:
    """Closed until `trip`; then open, with about one probe per interval, until `close`.

    Without a lock: two threads that race here cost one probe more, and a fork cannot leave anything locked.

    Args:
        probe_interval_seconds: how soon a recovery is noticed. Default 0.25.
        probe_timeout_seconds: for each step of a probe, as a request may wait for it. Default 0.05.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        probe_interval_seconds: float = 0.25,
        probe_timeout_seconds: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.probe_interval_seconds = probe_interval_seconds
        self.probe_timeout_seconds = probe_timeout_seconds
        self._clock = clock
        self._next_probe: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether readers should go past the cache."""
        return self._next_probe is not None

    def trip(self) -> bool:
        """Open; whether it was closed before."""
        was_closed = self._next_probe is None
        if was_closed:
            self._next_probe = self._clock() + self.probe_interval_seconds
        return was_closed

    def close(self) -> None:
        """The cache answers again."""
        self._next_probe = None

    def take_probe(self) -> bool:
        """Whether the caller is the one that should probe now."""
        now, next_probe = self._clock(), self._next_probe
        due = next_probe is not None and now >= next_probe
        if due:
            self._next_probe = now + self.probe_interval_seconds
        return due
