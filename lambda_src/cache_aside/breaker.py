"""The circuit breaker: after a failed probe readers go past the cache at once, until a probe finds that it is back."""

import time
from collections.abc import Callable


class Breaker:
    """Closed until `trip`; then open, with about one probe per interval, until `close`.

    A connection that falls silent opens nothing by itself: one late reply is no outage. It is a reason to `suspect`
    the server, and who does probes it.

    Without a lock: two threads that race here cost one probe more, and a fork cannot leave anything locked. Whatever
    becomes of a probe, a later reader takes the next one.

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
        self._suspected = float("-inf")

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

    def close(self) -> bool:
        """The cache answers; whether it was open before."""
        was_open = self._next_probe is not None
        self._next_probe = None
        return was_open

    def take_probe(self) -> bool:
        """Whether the circuit is open and the caller is the one that should probe now."""
        now, next_probe = self._clock(), self._next_probe
        due = next_probe is not None and now >= next_probe
        if due:
            self._next_probe = now + self.probe_interval_seconds
        return due

    def suspect(self) -> bool:
        """Whether the circuit is closed and the caller should probe now: nobody else has begun to."""
        now = self._clock()
        first = not self.is_open and now - self._suspected >= self.probe_timeout_seconds
        if first:
            self._suspected = now
        return first
