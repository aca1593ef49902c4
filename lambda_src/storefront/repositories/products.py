"""The table `products`."""

from collections.abc import Sequence
from decimal import Decimal

from storefront.database import Database
from storefront.entities import Product


class ProductRepository:
    """Reads and writes products. `versions`, where given, are those that the row may have to be written: None, any."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, product_id: int) -> Product | None:
        """The product, or None."""
        statement = "SELECT id, name, price, version FROM products WHERE id = %(id)s"
        rows = self._database.read(statement, {"id": product_id})
        return Product(*rows[0]) if rows else None

    def insert(self, name: str, price: Decimal) -> Product:
        """The new product, with the id that the database gave it."""
        statement = """
            INSERT INTO products (name, price) VALUES (%(name)s, %(price)s)
            RETURNING id, name, price, version"""
        return Product(*self._database.write(statement, {"name": name, "price": price})[0])

    def update(self, product_id: int, name: str, price: Decimal, versions: Sequence[int] | None) -> Product | None:
        """The product as changed, or None when no row has that id and one of the versions."""
        statement = """
            UPDATE products SET name = %(name)s, price = %(price)s, version = version + 1
            WHERE id = %(id)s AND (%(versions)s::bigint[] IS NULL OR version = ANY(%(versions)s))
            RETURNING id, name, price, version"""
        parameters = {"id": product_id, "name": name, "price": price, "versions": versions}
        rows = self._database.write(statement, parameters)
        return Product(*rows[0]) if rows else None

    def delete(self, product_id: int, versions: Sequence[int] | None) -> bool:
        """Whether a row with that id and one of the versions was there."""
        statement = """
            DELETE FROM products
            WHERE id = %(id)s AND (%(versions)s::bigint[] IS NULL OR version = ANY(%(versions)s))
            RETURNING id"""
        return bool(self._database.write(statement, {"id": product_id, "versions": versions}))
