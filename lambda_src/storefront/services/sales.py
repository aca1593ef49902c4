"""Stock and purchases: never cached, because whoever buys must see the committed stock (policies.py)."""

from storefront.entities import Purchase, Session
from storefront.errors import ProductNotFoundError
from storefront.repositories.products import ProductRepository
from storefront.repositories.sales import SalesRepository


class SalesService:
    """Sells what is in stock. Asks the database only, and invalidates nothing."""

    def __init__(self, repository: SalesRepository, products: ProductRepository) -> None:
        self._repository = repository
        self._products = products

    def stock(self, product_id: int) -> int | None:
        """How many there are, None when there is no such product. DatabaseUnavailableError."""
        return self._repository.stock(product_id)

    def set_stock(self, product_id: int, available: int, *, by: Session) -> None:
        """From now on there are so many. ProductNotFoundError, NotLoggedInError, DatabaseUnavailableError."""
        if not self._repository.set_stock(product_id, available, by=by):
            raise ProductNotFoundError

    def buy(self, product_id: int, quantity: int, *, by: Session) -> Purchase:
        """The purchase, at the price of this moment. ProductNotFoundError, OutOfStockError, NotLoggedInError.

        DatabaseUnavailableError leaves open whether it was made.
        """
        product = self._products.find(product_id)
        if product is None:
            raise ProductNotFoundError
        return self._repository.sell(product_id, quantity, product.price, by=by)
