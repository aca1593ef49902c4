"""The table `inventory`."""

from storefront.database import Connection, Database


class InventoryRepository:
    """Reads and sets what is in stock. A product without a row has nothing in stock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, product_id: int) -> int | None:
        """How many there are, or None when there is no such product."""
        statement = """
            SELECT COALESCE(available, 0) FROM products LEFT JOIN inventory ON product_id = products.id
            WHERE products.id = %(id)s"""
        rows = self._database.read(statement, {"id": product_id})
        return rows[0][0] if rows else None

    def set(self, product_id: int, available: int) -> bool:
        """Whether there is such a product, of which there now are so many."""
        values = {"id": product_id, "available": available}

        def work(connection: Connection) -> bool:
            # Its lock keeps another writer from inserting the same row.
            if not connection.rows("SELECT id FROM products WHERE id = %(id)s FOR UPDATE", values):
                return False
            update = "UPDATE inventory SET available = %(available)s WHERE product_id = %(id)s"
            insert = "INSERT INTO inventory (product_id, available) VALUES (%(id)s, %(available)s)"
            if not connection.change(update, values):
                connection.change(insert, values)
            return True

        return self._database.transact(work)
