"""How many passwords may be tried: counted in the cache for all processes, or in this one while it is out of reach."""

import hashlib
import ipaddress
import logging
import math
import threading
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cache_aside import CacheAside, CacheUnavailableError, Count
from storefront.policies import LOGIN_PREFIX
from storefront.services.errors import TooManyAttemptsError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoginLimits:
    """How many attempts are let through in a window, which begins with the first of them.

    Args:
        per_user_and_address: for one user from one address. Default 10.
        per_user: for one user from anywhere. Default 100.
        per_address: from one address, for whatever users, those that succeed included. Default 300.
        window_seconds: Default 300.
    """

    per_user_and_address: int = 10
    per_user: int = 100
    per_address: int = 300
    window_seconds: float = 300

    @property
    def in_order(self) -> tuple[int, int, int]:
        """In the order of `_keys`."""
        return self.per_user_and_address, self.per_user, self.per_address


class LocalCounts:
    """What `CacheAside.count` does, for this process alone. Beyond `capacity` keys the oldest window is forgotten."""

    def __init__(self, capacity: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._clock = capacity, clock
        self._lock = threading.Lock()
        # In the order in which the windows began, which is that in which they end: all are of one length.
        self._windows: dict[str, tuple[int, float]] = {}

    def count(self, *keys: str, window_seconds: float) -> list[Count]:
        """See `CacheAside.count`."""
        with self._lock:
            now = self._clock()
            return [self._count(key, now, now + window_seconds) for key in keys]

    def clear_counts(self, *keys: str) -> None:
        """See `CacheAside.clear_counts`."""
        with self._lock:
            for key in keys:
                self._windows.pop(key, None)

    def _count(self, key: str, now: float, new_end: float) -> Count:
        total, end = self._windows.get(key, (0, new_end))
        if end <= now:
            del self._windows[key]
            total, end = 0, new_end
        self._windows[key] = (total + 1, end)
        if len(self._windows) > self._capacity:
            del self._windows[next(iter(self._windows))]
        return Count(total + 1, end - now)


class LoginLimit:
    """Asked before a password is verified, so that a refused attempt costs no hash."""

    def __init__(self, cache: CacheAside, limits: LoginLimits, local: LocalCounts | None = None) -> None:
        self._cache, self._limits, self._local = cache, limits, local or LocalCounts()

    def attempt(self, username: str, address: str) -> None:
        """Counts an attempt. TooManyAttemptsError when it is one too many, with the seconds until the window ends.

        Attempts are counted before they can fail: many at once would otherwise all be let through.
        """
        limits, keys = self._limits, _keys(username, address)
        try:
            counts = self._cache.count(*keys, window_seconds=limits.window_seconds)
        except CacheUnavailableError as error:
            logger.warning("logins are counted in this process alone: %s", error)
            counts = self._local.count(*keys, window_seconds=limits.window_seconds)
        exceeded = [count for count, limit in zip(counts, limits.in_order, strict=True) if count.total > limit]
        if exceeded:
            seconds = max(count.seconds_left for count in exceeded)
            raise TooManyAttemptsError(max(1, math.ceil(seconds)))

    def succeeded(self, username: str, address: str) -> None:
        """The password was right: the user's attempts are forgotten, those of the address are not.

        Or whoever has an account could try those of others without end.
        """
        of_user = _keys(username, address)[:2]
        self._local.clear_counts(*of_user)
        try:
            self._cache.clear_counts(*of_user)
        except CacheUnavailableError as error:
            logger.warning("the attempts of a user who has logged in stay counted: %s", error)


def _keys(username: str, address: str) -> Sequence[str]:
    """Hashes, because keys are read by operators, logged and listed, and clients choose what goes into these.

    Spellings that a database may take for the same name share a counter.
    """
    user = unicodedata.normalize("NFKC", username).casefold().strip()
    network = _network(address)
    named = (("pair", f"{user}\n{network}"), ("user", user), ("address", network))
    return [f"{LOGIN_PREFIX}{kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}" for kind, text in named]


def _network(address: str) -> str:
    """The address itself, of IPv6 the /64 that a single customer is given at least; other text as it is."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((given, 64), strict=False)) if given.version == 6 else address
