"""The table `products`."""

from collections.abc import Sequence
from decimal import Decimal

from cache_aside import OutboxRow
from storefront.database import Database, Row
from storefront.entities import Product
from storefront.policies import PRODUCT_PREFIX, product_key


class ProductRepository:
    """Reads and writes products.

    Each write is one statement, thus one transaction, that also records in the outbox the key it makes obsolete; what
    changes nothing records nothing. `versions`, where given, are those that the row may have to be written: None, any.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, product_id: int) -> Product | None:
        """The product, or None."""
        statement = "SELECT id, name, price, version FROM products WHERE id = %(id)s"
        rows = self._database.read(statement, {"id": product_id})
        return Product(*rows[0]) if rows else None

    def insert(self, name: str, price: Decimal) -> tuple[Product, OutboxRow]:
        """The new product, with the id that the database gave it. Obsolete is its absence, which may be cached."""
        statement = """
            WITH written AS (
                INSERT INTO products (name, price) VALUES (%(name)s, %(price)s) RETURNING id, name, price, version),
            recorded AS (
                INSERT INTO cache_invalidations (key) SELECT %(prefix)s::text || id FROM written RETURNING id, key)
            SELECT recorded.id, key, written.id, name, price, version FROM written, recorded"""
        return _written(self._database.write(statement, {"name": name, "price": price, "prefix": PRODUCT_PREFIX})[0])

    def update(
        self, product_id: int, name: str, price: Decimal, versions: Sequence[int] | None
    ) -> tuple[Product, OutboxRow] | None:
        """The product as changed, or None when no row has that id and one of the versions."""
        statement = """
            WITH written AS (
                UPDATE products SET name = %(name)s, price = %(price)s, version = version + 1
                WHERE id = %(id)s AND (%(versions)s::bigint[] IS NULL OR version = ANY(%(versions)s))
                RETURNING id, name, price, version),
            recorded AS (INSERT INTO cache_invalidations (key) SELECT %(key)s::text FROM written RETURNING id, key)
            SELECT recorded.id, key, written.id, name, price, version FROM written, recorded"""
        identity = {"id": product_id, "key": product_key(product_id), "versions": versions}
        rows = self._database.write(statement, {"name": name, "price": price, **identity})
        return _written(rows[0]) if rows else None

    def delete(self, product_id: int, versions: Sequence[int] | None) -> OutboxRow | None:
        """What is obsolete now, or None when no row has that id and one of the versions."""
        statement = """
            WITH gone AS (
                DELETE FROM products
                WHERE id = %(id)s AND (%(versions)s::bigint[] IS NULL OR version = ANY(%(versions)s)) RETURNING id)
            INSERT INTO cache_invalidations (key) SELECT %(key)s::text FROM gone RETURNING id, key"""
        identity = {"id": product_id, "key": product_key(product_id), "versions": versions}
        rows = self._database.write(statement, identity)
        return OutboxRow(*rows[0]) if rows else None


def _written(row: Row) -> tuple[Product, OutboxRow]:
    return Product(*row[2:]), OutboxRow(*row[:2])
