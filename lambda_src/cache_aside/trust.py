"""Whether the deletions that a failover may have lost are known to be repeated on the server that answers."""

import time
from collections.abc import Callable

from cache_aside.errors import PolicyError

_ASK_AGAIN_SECONDS = 0.5


class Trust:
    """Remembers which replication ids are replayed.

    Args:
        is_replayed: asks the application's database, where its relay records them. An error means no.
        clock: monotonic seconds.
    """

    def __init__(self, is_replayed: Callable[[str], bool] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._is_replayed = is_replayed
        self._clock = clock
        self._trusted: set[str] = set()
        self._asked: dict[str, float] = {}

    def remembered(self, replication_id: str) -> bool | None:
        """The answer as far as it is known; None: `ask`, which takes a query."""
        if replication_id in self._trusted:
            return True
        asked = self._asked.get(replication_id)
        return None if asked is None or self._clock() - asked >= _ASK_AGAIN_SECONDS else False

    def ask(self, replication_id: str) -> bool:
        """Ask the application and remember a yes for good, a no for half a second.

        Raises:
            PolicyError: a policy fails closed, but the client was not told whom to ask.
        """
        if self._is_replayed is None:
            raise PolicyError("a policy with fail_closed needs a client that was connected with is_replayed")
        self._asked[replication_id] = self._clock()
        try:
            replayed = self._is_replayed(replication_id)
        except Exception:  # noqa: BLE001 - whatever keeps the application from knowing, it does not know
            replayed = False
        if replayed:
            self._trusted.add(replication_id)
        return replayed
