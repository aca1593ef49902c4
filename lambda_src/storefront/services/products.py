"""Products, read through the cache."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from cache_aside import CacheAside, Invalidation, Result, SqlOutbox
from storefront.entities import Product, Session
from storefront.errors import ProductNotFoundError, VersionMismatchError
from storefront.policies import PRODUCT, product_key
from storefront.repositories.products import ProductRepository


class Page(NamedTuple):
    """Some products in the order of their ids, each with how it was served; after `last_id` there are more. None: no.

    A product that was deleted meanwhile is None.
    """

    results: list[Result[Product]]
    last_id: int | None


class ProductService:
    """Every write commits first, then deletes the cached entry; the deletion's outcome is returned, never dropped.

    `by` is the session of whoever writes; NotLoggedInError when its user does not have its role any more.
    """

    def __init__(self, repository: ProductRepository, cache: CacheAside, outbox: SqlOutbox) -> None:
        self._repository = repository
        self._cache = cache
        self._outbox = outbox

    def get(self, product_id: int) -> Result[Product]:
        """The product, None when there is none, and how it was served. DatabaseUnavailableError, TooManyLoadsError."""
        return self._cache.get_or_load(product_key(product_id), self._repository.find, product_id, policy=PRODUCT)

    def page(self, after: int, limit: int) -> Page:
        """The products that follow an id: which they are says the database, and what they are the cache, in one batch.

        DatabaseUnavailableError, TooManyLoadsError.
        """
        ids = self._repository.ids_after(after, limit + 1)
        by_key = {product_key(product_id): product_id for product_id in ids[:limit]}

        def load(missing: Sequence[str]) -> dict[str, Product | None]:
            found = self._repository.find_many([by_key[key] for key in missing])
            return {product_key(product.id): product for product in found}

        results = self._cache.get_many_or_load(by_key, load, policy=PRODUCT)
        return Page([results[key] for key in by_key], ids[limit - 1] if len(ids) > limit else None)

    def create(self, name: str, price: Decimal, *, by: Session) -> tuple[Product, Invalidation]:
        """The new product. Its key may hold that no such product exists, so it is deleted too."""
        product, obsolete = self._repository.insert(name, price, by=by)
        return product, self._outbox.deliver(self._cache, obsolete)

    def replace(
        self, product_id: int, name: str, price: Decimal, versions: Sequence[int] | None, *, by: Session
    ) -> tuple[Product, Invalidation]:
        """The changed product. ProductNotFoundError, or VersionMismatchError when its version is none of `versions`."""
        written = self._repository.update(product_id, name, price, versions, by=by)
        if written is None:
            raise self._why_not(product_id)
        product, obsolete = written
        return product, self._outbox.deliver(self._cache, obsolete)

    def delete(self, product_id: int, versions: Sequence[int] | None, *, by: Session) -> Invalidation:
        """ProductNotFoundError, or VersionMismatchError when its version is none of `versions`."""
        obsolete = self._repository.delete(product_id, versions, by=by)
        if obsolete is None:
            raise self._why_not(product_id)
        return self._outbox.deliver(self._cache, obsolete)

    def _why_not(self, product_id: int) -> Exception:
        exists = self._repository.find(product_id) is not None
        return VersionMismatchError() if exists else ProductNotFoundError()
