"""The products that sell best."""

import threading
from concurrent.futures import Future

from cache_aside import CacheAside, Result
from storefront.entities import Bestseller
from storefront.policies import LEADERBOARD, LEADERBOARD_KEY, LEADERBOARD_SIZE
from storefront.repositories.sales import SalesRepository


class LeaderboardService:
    """One cached value, from which every shorter list is cut: lists of many lengths cost no more loads than one."""

    def __init__(self, repository: SalesRepository, cache: CacheAside) -> None:
        self._repository = repository
        self._cache = cache
        self._lock = threading.Lock()
        self._flight: Future[list[Bestseller]] | None = None

    def top(self, limit: int) -> Result[list[Bestseller]]:
        """The first `limit` of LEADERBOARD_SIZE, most units sold first. DatabaseUnavailableError, TooManyLoadsError."""
        result = self._cache.get_or_load(LEADERBOARD_KEY, self._add_up, LEADERBOARD_SIZE, policy=LEADERBOARD)
        return Result((result.value or [])[:limit], result.served)

    def _add_up(self, size: int) -> list[Bestseller]:
        """Asks the database, or waits for the thread that does and has the same list or error.

        Past a cache that is down all requests come here, and as many aggregations at once would all be too slow. The
        list may have been begun before the request; nobody invalidates it, and its policy leaves time for that.
        """
        with self._lock:
            leads, flight = self._flight is None, self._flight or Future()
            self._flight = flight
        if leads:
            try:
                flight.set_result(self._repository.bestsellers(size))
            except BaseException as error:  # noqa: BLE001 - raised below, to all who wait
                flight.set_exception(error)
            self._flight = None
        return flight.result()
