"""The circuit breakers: after a failed probe readers go past the cache at once, until a probe finds that it is back."""

import logging
import time
from collections.abc import Callable, Sequence

from cache_aside.connection import BARRIER
from cache_aside.observe import Event, Observer
from cache_aside.steps import Command

_READS = frozenset({"GET", "MGET"})
_log = logging.getLogger("cache_aside")


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


class Circuits:
    """What both clients decide about a server: one circuit to it, and one to its writes, which it may hold up alone.

    While writes are paused (a failover, CLIENT PAUSE WRITE) hits are served, and nobody waits for a lease.

    Args:
        breaker: the circuit to the server; that to its writes is like it.
        observer: hears of every failure, for as long as an outage lasts and somebody reads.
    """

    def __init__(self, breaker: Breaker, observer: Observer) -> None:
        self._server, self._observer = breaker, observer
        self._writes = Breaker(breaker.probe_interval_seconds, breaker.probe_timeout_seconds)

    def of(self, commands: Sequence[Command]) -> Breaker:
        """The circuit that these commands need, all of them reads or all of them writes."""
        return self._server if commands[0][0] in _READS else self._writes

    def probe(self, breaker: Breaker) -> Sequence[Command]:
        """What finds out whether it may be closed, besides the question who the server is."""
        return (BARRIER,) if breaker is self._writes else ()

    def failed(self, breaker: Breaker, error: Exception, *, doubtful: bool) -> bool:
        """A round trip has failed: whether its reader should probe, as it may be the fault of one connection."""
        self._observer.on_event("", Event.CACHE_ERROR, 0.0)
        if not doubtful:
            self._open(self._server, error)
        return doubtful and breaker.suspect()

    def probed(self, breaker: Breaker, error: Exception | None, suspicion: Exception | None) -> bool:
        """What a probe has found: whether the circuit is closed now."""
        if error is not None:
            self._observer.on_event("", Event.CACHE_ERROR, 0.0)
            self._open(breaker, suspicion or error)
        elif breaker.close():
            _log.warning("the cache is available again%s", self._for(breaker))
        return error is None

    def after_fork(self) -> None:
        """In the child: closed until something fails."""
        self._server.close()
        self._writes.close()

    def _open(self, breaker: Breaker, error: Exception) -> None:
        if breaker.trip():
            _log.warning("the cache is unavailable%s, readers go past it: %s", self._for(breaker), error)

    def _for(self, breaker: Breaker) -> str:
        return " for writes" if breaker is self._writes else ""
