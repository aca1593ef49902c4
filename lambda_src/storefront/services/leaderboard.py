"""The products that sell best."""

from cache_aside import CacheAside, Result
from storefront.entities import Bestseller
from storefront.policies import LEADERBOARD, LEADERBOARD_KEY, LEADERBOARD_SIZE
from storefront.repositories.sales import SalesRepository


class LeaderboardService:
    """One cached value, from which every shorter list is cut: lists of many lengths cost no more loads than one."""

    def __init__(self, repository: SalesRepository, cache: CacheAside) -> None:
        self._repository = repository
        self._cache = cache

    def top(self, limit: int) -> Result[list[Bestseller]]:
        """The first `limit` of LEADERBOARD_SIZE, most units sold first. DatabaseUnavailableError, TooManyLoadsError."""
        result = self._cache.get_or_load(
            LEADERBOARD_KEY, self._repository.bestsellers, LEADERBOARD_SIZE, policy=LEADERBOARD
        )
        return Result((result.value or [])[:limit], result.served)
