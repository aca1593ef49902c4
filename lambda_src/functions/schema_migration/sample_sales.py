"""Stock and purchases to try the app with: a few products sell often, most of them hardly ever."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, islice
from random import Random
from typing import NamedTuple

from storefront.database import Connection

_ROWS_A_STATEMENT = 10_000
_QUANTITIES, _QUANTITY_WEIGHTS = (1, 2, 3, 4, 5), (60, 20, 10, 6, 4)


class Priced(NamedTuple):
    """A product that can be sold."""

    id: int
    price: Decimal


def priced_products(connection: Connection) -> list[Priced]:
    """All products."""
    return [Priced(*row) for row in connection.rows("SELECT id, price FROM products ORDER BY id", ())]


def stock(connection: Connection, available: int) -> None:
    """Puts so many of each product into stock that has none yet."""
    statement = """
        INSERT INTO inventory (product_id, available) SELECT id, %(available)s FROM products
        WHERE id NOT IN (SELECT product_id FROM inventory)"""
    connection.change(statement, {"available": available})


def sell(
    connection: Connection,
    products: Sequence[Priced],
    purchases: int,
    *,
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Records so many purchases of the first user; stock stays as it is. `progress` hears how many there are so far.

    The same for the same seed: products by Zipf's law, the second of them half as often as the first, the third a third
    as often, in an order that has nothing to do with their ids.
    """
    (user_id,) = connection.rows("SELECT MIN(id) FROM users", ())[0]
    rows = _purchases(products, user_id, purchases, Random(seed))  # noqa: S311 - samples, not secrets
    done = 0
    while batch := list(islice(rows, _ROWS_A_STATEMENT)):
        insert(connection, "purchases (product_id, user_id, quantity, unit_price)", batch)
        done += len(batch)
        progress(done)


def insert(connection: Connection, table: str, rows: Iterable[str]) -> None:
    """Inserts rows, each a literal such as `(1, 2)`, in one statement. Never anything that somebody has entered."""
    connection.change(f"INSERT INTO {table} VALUES {','.join(rows)}", ())  # noqa: S608 - see above


def _purchases(products: Sequence[Priced], user_id: int, count: int, random: Random) -> Iterator[str]:
    ranked = random.sample(products, len(products))
    weights = list(accumulate(1 / rank for rank in range(1, len(ranked) + 1)))
    while count > 0:
        batch = min(count, _ROWS_A_STATEMENT)
        sold = random.choices(ranked, cum_weights=weights, k=batch)
        quantities = random.choices(_QUANTITIES, _QUANTITY_WEIGHTS, k=batch)
        for product, quantity in zip(sold, quantities, strict=True):
            yield f"({product.id},{user_id},{quantity},{product.price})"
        count -= batch
