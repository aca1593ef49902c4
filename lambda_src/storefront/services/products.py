"""Products, read through the cache."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from cache_aside import CacheAside, Invalidation, Result, Served
from storefront.entities import Product
from storefront.policies import PRODUCT, product_key
from storefront.repositories.products import ProductRepository
from storefront.services.errors import ProductNotFoundError, VersionMismatchError


class ProductService:
    """Every write commits first and deletes the cached entry then; the deletion's outcome is returned, never dropped.

    `count` is told how each read was served.
    """

    def __init__(self, repository: ProductRepository, cache: CacheAside, count: Callable[[Served], None]) -> None:
        self._repository = repository
        self._cache = cache
        self._count = count

    def get(self, product_id: int) -> Result[Product]:
        """The product, value None when there is none, and how it was served. DatabaseUnavailableError."""
        load = lambda: self._repository.find(product_id)  # noqa: E731
        result = self._cache.get_or_load(product_key(product_id), load, policy=PRODUCT)
        self._count(result.served)
        return result

    def create(self, name: str, price: Decimal) -> tuple[Product, Invalidation]:
        """The new product. Its key may hold that no such product exists, so it is deleted too."""
        product = self._repository.insert(name, price)
        return product, self._invalidate(product.id)

    def replace(
        self, product_id: int, name: str, price: Decimal, versions: Sequence[int] | None
    ) -> tuple[Product, Invalidation]:
        """The changed product. ProductNotFoundError, or VersionMismatchError when its version is none of `versions`."""
        product = self._repository.update(product_id, name, price, versions)
        if product is None:
            raise self._why_not(product_id)
        return product, self._invalidate(product_id)

    def delete(self, product_id: int, versions: Sequence[int] | None) -> Invalidation:
        """ProductNotFoundError, or VersionMismatchError when its version is none of `versions`."""
        if not self._repository.delete(product_id, versions):
            raise self._why_not(product_id)
        return self._invalidate(product_id)

    def _invalidate(self, product_id: int) -> Invalidation:
        return self._cache.invalidate(product_key(product_id))

    def _why_not(self, product_id: int) -> Exception:
        exists = self._repository.find(product_id) is not None
        return VersionMismatchError() if exists else ProductNotFoundError()
