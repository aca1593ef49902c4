"""Feature flags, read through the cache."""

from cache_aside import CacheAside, Invalidation, Result
from storefront.entities import Flag, Session
from storefront.errors import FlagNotFoundError
from storefront.policies import FLAG, flag_key
from storefront.repositories.flags import FlagRepository
from storefront.services.invalidation import Invalidator


class FlagService:
    """A change commits first, then deletes the cached entry."""

    def __init__(self, repository: FlagRepository, cache: CacheAside, invalidator: Invalidator) -> None:
        self._repository = repository
        self._cache = cache
        self._invalidator = invalidator

    def get(self, name: str) -> Result[Flag]:
        """The flag, None when no deployment has declared it, and how it was served.

        DatabaseUnavailableError, TooManyLoadsError.
        """
        return self._cache.get_or_load(flag_key(name), self._repository.find, name, policy=FLAG)

    def change(self, flag: Flag, *, by: Session) -> Invalidation:
        """FlagNotFoundError, NotLoggedInError, DatabaseUnavailableError."""
        obsolete = self._repository.update(flag, by=by)
        if obsolete is None:
            raise FlagNotFoundError
        return self._invalidator.deliver(obsolete)
