"""A hundred products to try the app with, and who bought them."""

from decimal import Decimal

import sqlalchemy as sa

from functions.schema_migration.sample_sales import priced_products, sell, stock
from storefront.database import Connection

_MATERIALS = ("Oak", "Walnut", "Steel", "Copper", "Linen", "Wool", "Glass", "Marble", "Leather", "Bamboo")
_THINGS = ("Desk", "Lamp", "Chair", "Shelf", "Tray", "Clock", "Vase", "Basket", "Stool", "Mirror")

_STOCK, _PURCHASES = 100, 2000


def products() -> list[tuple[str, Decimal]]:
    """Name and price of each, in the order of their ids from 1."""
    names = [f"{material} {thing}" for material in _MATERIALS for thing in _THINGS]
    return [(name, Decimal(990 + 137 * number) / 100) for number, name in enumerate(names)]


def load_sample_data(connection: sa.Connection) -> None:
    """Inserts the products into a table that never held one, as ids 1 to 100."""
    rows = [{"name": name, "price": price} for name, price in products()]
    connection.execute(sa.text("INSERT INTO products (name, price) VALUES (:name, :price)"), rows)


def load_sample_sales(connection: Connection) -> None:
    """Puts all products into stock and sells some, unless something was ever sold: sales are never deleted."""
    products = priced_products(connection)
    if products and not connection.rows("SELECT 1 FROM purchases LIMIT 1", ()):
        stock(connection, _STOCK)
        sell(connection, products, _PURCHASES, seed=1)
