"""A hundred products to try the app with."""

from decimal import Decimal

import sqlalchemy as sa

_MATERIALS = ("Oak", "Walnut", "Steel", "Copper", "Linen", "Wool", "Glass", "Marble", "Leather", "Bamboo")
_THINGS = ("Desk", "Lamp", "Chair", "Shelf", "Tray", "Clock", "Vase", "Basket", "Stool", "Mirror")


def products() -> list[tuple[str, Decimal]]:
    """Name and price of each, in the order of their ids from 1."""
    names = [f"{material} {thing}" for material in _MATERIALS for thing in _THINGS]
    return [(name, Decimal(990 + 137 * number) / 100) for number, name in enumerate(names)]


def load_sample_data(connection: sa.Connection) -> None:
    """Inserts the products into a table that never held one, as ids 1 to 100."""
    rows = [{"name": name, "price": price} for name, price in products()]
    connection.execute(sa.text("INSERT INTO products (name, price) VALUES (:name, :price)"), rows)
