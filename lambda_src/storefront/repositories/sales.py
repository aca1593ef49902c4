"""The tables `inventory` and `purchases`: what is in stock, and what was sold of it."""

from decimal import Decimal

from storefront.database import Connection, Database
from storefront.entities import Bestseller, Purchase, Session
from storefront.errors import OutOfStockError
from storefront.repositories.users import on_behalf_of


class SalesRepository:
    """Reads and sets what is in stock, sells it, and adds up sales. A sale is never changed.

    A product without a row in `inventory` has nothing in stock.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def stock(self, product_id: int) -> int | None:
        """How many there are, or None when there is no such product."""
        statement = """
            SELECT COALESCE(available, 0) FROM products LEFT JOIN inventory ON product_id = products.id
            WHERE products.id = %(id)s"""
        rows = self._database.read(statement, {"id": product_id})
        return rows[0][0] if rows else None

    def set_stock(self, product_id: int, available: int, *, by: Session) -> bool:
        """Whether there is such a product, of which there now are so many. NotLoggedInError."""
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

        return self._database.transact(on_behalf_of(by, work))

    def sell(self, product_id: int, quantity: int, unit_price: Decimal, *, by: Session) -> Purchase:
        """The sale, taken from stock in the same transaction. OutOfStockError, NotLoggedInError."""
        values = {"product_id": product_id, "user_id": by.user_id, "quantity": quantity, "unit_price": unit_price}

        def work(connection: Connection) -> Purchase:
            statement = """
                INSERT INTO purchases (product_id, user_id, quantity, unit_price)
                VALUES (%(product_id)s, %(user_id)s, %(quantity)s, %(unit_price)s)"""
            purchase_id = connection.insert(statement, values)
            # Last, because all buyers of the product wait for this row until the transaction ends.
            if not _take(connection, product_id, quantity):
                raise OutOfStockError
            return Purchase(purchase_id, product_id, quantity, unit_price)

        return self._database.transact(on_behalf_of(by, work))

    def bestsellers(self, limit: int) -> list[Bestseller]:
        """The products of which most units were sold, most first; those that were deleted are left out."""
        statement = """
            SELECT products.id, products.name, sold.units
            FROM (SELECT product_id, SUM(quantity) AS units FROM purchases GROUP BY product_id) AS sold
            JOIN products ON products.id = sold.product_id
            ORDER BY sold.units DESC, products.id LIMIT %(limit)s"""
        rows = self._database.read(statement, {"limit": limit})
        return [Bestseller(product_id, name, int(units)) for product_id, name, units in rows]


def _take(connection: Connection, product_id: int, quantity: int) -> bool:
    """Whether there was enough. Both engines look at the committed stock once they hold the row, so none is sold twice.

    https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
    https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
    """
    statement = """
        UPDATE inventory SET available = available - %(quantity)s
        WHERE product_id = %(product_id)s AND available >= %(quantity)s"""
    return bool(connection.change(statement, {"product_id": product_id, "quantity": quantity}))
