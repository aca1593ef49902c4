"""The table `products`."""

from collections.abc import Sequence
from decimal import Decimal

from cache_aside import OutboxRow
from storefront.database import Connection, Database, placeholders
from storefront.entities import Product, Session
from storefront.policies import product_key
from storefront.repositories.outbox import record
from storefront.repositories.users import on_behalf_of


class ProductRepository:
    """Reads and writes products.

    Each write is one transaction that also records in the outbox the key it makes obsolete; what changes nothing
    records nothing. `versions`, where given, are those that the row may have to be written: None, any. `by` is the
    session of whoever writes; NotLoggedInError when its user does not have its role any more.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, product_id: int) -> Product | None:
        """The product, or None."""
        statement = "SELECT id, name, price, version FROM products WHERE id = %(id)s"
        rows = self._database.read(statement, {"id": product_id})
        return Product(*rows[0]) if rows else None

    def find_many(self, product_ids: Sequence[int]) -> list[Product]:
        """Those of the products that there are, in any order."""
        statement = "SELECT id, name, price, version FROM products"
        rows = self._database.read(f"{statement} WHERE id IN ({placeholders(product_ids)})", product_ids)
        return [Product(*row) for row in rows]

    def ids_after(self, product_id: int, limit: int) -> list[int]:
        """The ids that follow this one, in their order; `limit` at most."""
        statement = "SELECT id FROM products WHERE id > %(after)s ORDER BY id LIMIT %(limit)s"
        return [row[0] for row in self._database.read(statement, {"after": product_id, "limit": limit})]

    def insert(self, name: str, price: Decimal, *, by: Session) -> tuple[Product, list[OutboxRow]]:
        """The new product, with the id that the database gave it. Obsolete is its absence, which may be cached."""

        def work(connection: Connection) -> tuple[Product, list[OutboxRow]]:
            statement = "INSERT INTO products (name, price) VALUES (%(name)s, %(price)s)"
            product_id = connection.insert(statement, {"name": name, "price": price})
            return Product(product_id, name, price, version=1), record(connection, product_key(product_id))

        return self._database.transact(on_behalf_of(by, work))

    def update(
        self, product_id: int, name: str, price: Decimal, versions: Sequence[int] | None, *, by: Session
    ) -> tuple[Product, list[OutboxRow]] | None:
        """The product as changed, or None when no row has that id and one of the versions."""

        def work(connection: Connection) -> tuple[Product, list[OutboxRow]] | None:
            version = _lock(connection, product_id, versions)
            if version is None:
                return None
            changed = Product(product_id, name, price, version + 1)
            statement = """
                UPDATE products SET name = %(name)s, price = %(price)s, version = %(version)s WHERE id = %(id)s"""
            values = {"id": product_id, "name": name, "price": price, "version": changed.version}
            connection.change(statement, values)
            return changed, record(connection, product_key(product_id))

        return self._database.transact(on_behalf_of(by, work))

    def delete(self, product_id: int, versions: Sequence[int] | None, *, by: Session) -> list[OutboxRow] | None:
        """What is obsolete now, or None when no row has that id and one of the versions."""

        def work(connection: Connection) -> list[OutboxRow] | None:
            if _lock(connection, product_id, versions) is None:
                return None
            connection.change("DELETE FROM products WHERE id = %(id)s", {"id": product_id})
            return record(connection, product_key(product_id))

        return self._database.transact(on_behalf_of(by, work))


def _lock(connection: Connection, product_id: int, versions: Sequence[int] | None) -> int | None:
    """The version that the row keeps until the transaction ends; None when there is no such row of these versions."""
    rows = connection.rows("SELECT version FROM products WHERE id = %(id)s FOR UPDATE", {"id": product_id})
    return next((version for (version,) in rows if versions is None or version in versions), None)
