"""Feature flags, read through the cache."""

from cache_aside import CacheAside, Invalidation, Result, SqlOutbox
from storefront.entities import Flag, Session
from storefront.errors import FlagNotFoundError
from storefront.policies import FLAG, flag_key
from storefront.repositories.flags import FlagRepository


class FlagService:
    """A change commits first, then deletes the cached entry."""

    def __init__(self, repository: FlagRepository, cache: CacheAside, outbox: SqlOutbox) -> None:
        self._repository = repository
        self._cache = cache
        self._outbox = outbox

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
        return self._outbox.deliver(self._cache, obsolete)
