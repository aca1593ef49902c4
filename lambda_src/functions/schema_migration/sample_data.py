"""A hundred products to try the app with, and who bought them."""

from decimal import Decimal

from psycopg import Connection
from psycopg.rows import TupleRow

from functions.schema_migration.sample_sales import priced_products, sell, stock
from storefront.postgres import PostgresConnection

_MATERIALS = ("Oak", "Walnut", "Steel", "Copper", "Linen", "Wool", "Glass", "Marble", "Leather", "Bamboo")
_THINGS = ("Desk", "Lamp", "Chair", "Shelf", "Tray", "Clock", "Vase", "Basket", "Stool", "Mirror")

_STOCK, _PURCHASES = 100, 2000


def products() -> list[tuple[str, Decimal]]:
    """Name and price of each, in the order of their ids from 1."""
    names = [f"{material} {thing}" for material in _MATERIALS for thing in _THINGS]
    return [(name, Decimal(990 + 137 * number) / 100) for number, name in enumerate(names)]


def load_sample_data(connection: Connection[TupleRow]) -> None:
    """Inserts the products, as ids 1 to 100, unless the table ever held one: what was deleted stays deleted."""
    never_used = "SELECT FROM products_id_seq WHERE NOT is_called"
    if connection.execute(never_used).rowcount:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO products (name, price) VALUES (%s, %s)", products())


def load_sample_sales(connection: Connection[TupleRow]) -> None:
    """Puts all products into stock and sells some, unless something was ever sold: sales are never deleted."""
    portable = PostgresConnection(connection)
    products = priced_products(portable)
    if products and not portable.rows("SELECT 1 FROM purchases LIMIT 1", ()):
        stock(portable, _STOCK)
        sell(portable, products, _PURCHASES, seed=1)
