"""The table `purchases`, and what each purchase takes from `inventory`."""

from decimal import Decimal

from storefront.database import Connection, Database
from storefront.entities import Bestseller, Purchase


class PurchaseRepository:
    """Records sales and adds them up. A sale is never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, user_id: int, idempotency_key: str) -> Purchase | None:
        """The user's purchase of that key, or None."""
        statement = """
            SELECT id, product_id, quantity, unit_price FROM purchases
            WHERE user_id = %(user_id)s AND idempotency_key = %(key)s"""
        rows = self._database.read(statement, {"user_id": user_id, "key": idempotency_key})
        return Purchase(*rows[0]) if rows else None

    def insert(
        self, product_id: int, quantity: int, unit_price: Decimal, user_id: int, idempotency_key: str | None
    ) -> Purchase | None:
        """The sale, taken from stock in the same transaction; None when there is less in stock.

        DuplicateError when the user has a purchase of that key. While another transaction is about to make one, this
        waits for its end.
        """

        def work(connection: Connection) -> Purchase | None:
            # The sale before the stock: whoever waits for a key holds up no other buyer of the product.
            purchase = Purchase(_record(connection, values), product_id, quantity, unit_price)
            if _take(connection, product_id, quantity):
                return purchase
            raise _ShortError

        values = {
            "product_id": product_id,
            "user_id": user_id,
            "quantity": quantity,
            "unit_price": unit_price,
            "key": idempotency_key,
        }
        try:
            return self._database.transact(work)
        except _ShortError:
            return None

    def bestsellers(self, limit: int) -> list[Bestseller]:
        """The products of which most units were sold, most first; those that were deleted are left out."""
        statement = """
            SELECT products.id, products.name, sold.units
            FROM (SELECT product_id, SUM(quantity) AS units FROM purchases GROUP BY product_id) AS sold
            JOIN products ON products.id = sold.product_id
            ORDER BY sold.units DESC, products.id LIMIT %(limit)s"""
        rows = self._database.read(statement, {"limit": limit})
        return [Bestseller(product_id, name, int(units)) for product_id, name, units in rows]


class _ShortError(Exception):
    """Undoes a transaction: there is not so much in stock."""


def _record(connection: Connection, values: dict[str, object]) -> int:
    statement = """
        INSERT INTO purchases (product_id, user_id, quantity, unit_price, idempotency_key)
        VALUES (%(product_id)s, %(user_id)s, %(quantity)s, %(unit_price)s, %(key)s)"""
    return connection.insert(statement, values)


def _take(connection: Connection, product_id: int, quantity: int) -> bool:
    """Whether there was enough. Both engines look at the committed stock once they hold the row, so none is sold twice.

    https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
    https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
    """
    statement = """
        UPDATE inventory SET available = available - %(quantity)s
        WHERE product_id = %(product_id)s AND available >= %(quantity)s"""
    return bool(connection.change(statement, {"product_id": product_id, "quantity": quantity}))
