"""The products that sell best."""

from cache_aside import CacheAside, Result
from storefront.entities import Bestseller
from storefront.policies import LEADERBOARD, LEADERBOARD_KEY, LEADERBOARD_SIZE
from storefront.repositories.purchases import PurchaseRepository


class LeaderboardService:
    """One cached value, from which every shorter list is cut: lists of many lengths cost no more loads than one."""

    def __init__(self, repository: PurchaseRepository, cache: CacheAside) -> None:
        self._repository = repository
        self._cache = cache

    def top(self, limit: int) -> Result[list[Bestseller]]:
        """The first `limit` of LEADERBOARD_SIZE, most units sold first. DatabaseUnavailableError, OverloadedError."""
        load = lambda: self._repository.bestsellers(LEADERBOARD_SIZE)  # noqa: E731
        result = self._cache.get_or_load(LEADERBOARD_KEY, load, policy=LEADERBOARD)
        return Result((result.value or [])[:limit], result.served)
