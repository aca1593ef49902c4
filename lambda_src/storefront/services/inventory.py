"""What is in stock."""

from storefront.repositories.inventory import InventoryRepository
from storefront.services.errors import ProductNotFoundError


class InventoryService:
    """Always the committed stock: there is no cache here to ask."""

    def __init__(self, repository: InventoryRepository) -> None:
        self._repository = repository

    def available(self, product_id: int) -> int | None:
        """How many there are, None: there is no such product. DatabaseUnavailableError."""
        return self._repository.find(product_id)

    def set(self, product_id: int, available: int) -> None:
        """From now on there are so many. ProductNotFoundError, DatabaseUnavailableError."""
        if not self._repository.set(product_id, available):
            raise ProductNotFoundError
