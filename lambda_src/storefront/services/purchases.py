"""Buying."""

from storefront.database import DuplicateError
from storefront.entities import Purchase
from storefront.repositories.products import ProductRepository
from storefront.repositories.purchases import PurchaseRepository
from storefront.services.errors import IdempotencyKeyReusedError, OutOfStockError, ProductNotFoundError


class PurchaseService:
    """Sells what is in stock. Asks the database only, and invalidates nothing: policies.py says why."""

    def __init__(self, repository: PurchaseRepository, products: ProductRepository) -> None:
        self._repository = repository
        self._products = products

    def buy(self, product_id: int, quantity: int, *, user_id: int, idempotency_key: str | None) -> Purchase:
        """The purchase; the earlier one where the user has made it with this key already.

        ProductNotFoundError, OutOfStockError; IdempotencyKeyReusedError when that one was of something else.
        DatabaseUnavailableError leaves open whether it was made: the same request with the same key tells.
        """
        if idempotency_key is None:
            return self._sell(product_id, quantity, user_id, None)
        if made := self._made(product_id, quantity, user_id, idempotency_key):
            return made
        try:
            return self._sell(product_id, quantity, user_id, idempotency_key)
        except DuplicateError:
            # Made by the same request at the same time, and committed by now.
            made = self._made(product_id, quantity, user_id, idempotency_key)
            if made is None:
                raise
            return made

    def _made(self, product_id: int, quantity: int, user_id: int, key: str) -> Purchase | None:
        made = self._repository.find(user_id, key)
        if made and (made.product_id, made.quantity) != (product_id, quantity):
            raise IdempotencyKeyReusedError
        return made

    def _sell(self, product_id: int, quantity: int, user_id: int, key: str | None) -> Purchase:
        product = self._products.find(product_id)
        if product is None:
            raise ProductNotFoundError
        purchase = self._repository.insert(product_id, quantity, product.price, user_id, key)
        if purchase is None:
            raise OutOfStockError
        return purchase
