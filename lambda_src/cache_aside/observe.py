"""The hook for counters and timings; `cloudwatch` is an observer that writes them as CloudWatch metrics."""

import logging
from enum import StrEnum
from typing import Protocol

_log = logging.getLogger("cache_aside")
_logged: set[str] = set()


class Event(StrEnum):
    """What an observer hears about, beside the values of `Served` (their duration is the whole read's)."""

    LOAD = "LOAD"
    LOAD_ERROR = "LOAD_ERROR"
    FILL_REFUSED = "FILL_REFUSED"
    """An invalidation, or the end of its lease, overtook a load: its value was not cached."""
    TOO_LARGE = "TOO_LARGE"
    UNCACHEABLE = "UNCACHEABLE"
    """A value that cannot be encoded, or is none of the policy's type: see the log."""
    UNREADABLE = "UNREADABLE"
    """Another release's shape, or bytes that are none of ours."""
    CACHE_ERROR = "CACHE_ERROR"
    """A round trip failed, or a probe: an outage is heard of for as long as it lasts and somebody reads."""
    CONFIRMED = "CONFIRMED"
    """An invalidation."""
    PENDING = "PENDING"
    """An invalidation that the cache did not confirm within its deadline."""
    QUARANTINED = "QUARANTINED"
    """The cache refuses to delete the keys of some outbox rows; each run of a relay tells it, as long as it lasts."""


class Observer(Protocol):
    """Called in the thread of the reader, so it must be quick."""

    def on_event(self, policy: str, event: str, seconds: float) -> None:
        """`policy` is its name, or empty where none is involved; `seconds` what it took, 0 where that says nothing."""


class Silent:
    """The observer of a client that was given none."""

    def on_event(self, policy: str, event: str, seconds: float) -> None:
        """Do nothing."""


SILENT: Observer = Silent()


class Guarded:
    """An observer whose failures are logged once, and are nobody's read's."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def on_event(self, policy: str, event: str, seconds: float) -> None:
        """Pass it on."""
        try:
            self._observer.on_event(policy, event, seconds)
        except Exception as error:  # noqa: BLE001 - whatever it is
            log_once(f"observer {id(self)}", "the observer of the cache failed", error)


def guarded(observer: Observer | None) -> Observer:
    """What a client tells what happens."""
    return SILENT if observer is None else Guarded(observer)


def log_once(subject: str, message: str, error: BaseException) -> None:
    """Log what goes on without anybody else hearing of it: the first time in full, never again for this subject."""
    if subject not in _logged:
        _logged.add(subject)
        _log.error("%s (logged once): %r", message, error, exc_info=error)
