"""Deleting keys so that nobody is told more than is true: confirmed by the primary, or pending."""

import time
from collections.abc import Callable
from typing import Any

from cache_aside.connection import BARRIER
from cache_aside.errors import CacheBusyError, CacheUnavailableError
from cache_aside.keys import checked
from cache_aside.results import Invalidation, Replicas
from cache_aside.steps import Deliver, Pause, Steps

_PAUSE_SECONDS = 0.02
_SHORTEST_TIMEOUT_SECONDS = 0.05
# Error replies about the server's state, which may be another one in a moment.
_STATES = ("ASK ", "MISCONF ", "MOVED ", "NOREPLICAS ", "OOM ", "TRYAGAIN ", "UNKILLABLE ")


def invalidate(
    keys: tuple[str, ...],
    replicas: Replicas,
    *,
    deadline_seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Steps[Invalidation]:
    """DEL the keys; retry until the deadline, for other processes may still reach the cache.

    On a new connection, unless the attempt before had none.

    Each attempt gets half of the time that is left, so that a connection that hangs does not cost all of it. Repeating
    a DEL is harmless, and so is one that arrives late.
    """
    checked(keys)
    if not keys:
        return Invalidation(keys, confirmed=True)
    deadline = monotonic() + deadline_seconds
    reason, fresh = "", False
    while (rest := deadline - monotonic()) > 0:
        try:
            reason = yield from _attempt(keys, replicas, max(rest / 2, _SHORTEST_TIMEOUT_SECONDS), fresh=fresh)
        except CacheBusyError as error:
            reason = str(error)
        except CacheUnavailableError as error:
            reason, fresh = str(error), True
        except _RefusedError as error:
            return Invalidation(keys, confirmed=False, reason=str(error), refused=True)
        if not reason:
            return Invalidation(keys, confirmed=True)
        yield Pause(_PAUSE_SECONDS)
    return Invalidation(keys, confirmed=False, reason=reason)


def _attempt(keys: tuple[str, ...], replicas: Replicas, timeout_seconds: float, *, fresh: bool) -> Steps[str]:
    """Why the deletion is not confirmed; empty: it is."""
    (deleted,), server = yield Deliver((("DEL", *keys),), timeout_seconds, fresh)
    _accepted(deleted)
    if replicas is Replicas.PRIMARY or server.replicas == 0:
        return ""
    wait = ("WAIT", server.replicas, max(1, round(timeout_seconds * 1000)))
    replies, _ = yield Deliver((BARRIER, wait), 2 * timeout_seconds)
    _, acknowledged = map(_accepted, replies)
    return "" if acknowledged >= server.replicas else f"{acknowledged} of {server.replicas} replicas have deleted it"


class _RefusedError(Exception):
    """The server will not do it (no permission, keys of several slots), and says so each time that it is asked."""


def _accepted(reply: Any) -> Any:
    """The reply, if it is none of an error.

    What is unknown counts as a refusal: a relay takes up the next row after one, and stops at an unavailable server.
    """
    if isinstance(reply, Exception):
        raise (CacheUnavailableError if str(reply).startswith(_STATES) else _RefusedError)(str(reply))
    return reply


def identify(timeout_seconds: float) -> Steps[str]:
    """The replication id of the primary, by a new connection where the present one fails."""
    try:
        _, server = yield Deliver((), timeout_seconds / 2)
    except CacheUnavailableError:
        _, server = yield Deliver((), timeout_seconds / 2, fresh=True)
    replication_id: str = server.replication_id
    return replication_id
