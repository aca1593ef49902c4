"""`make seed`: a catalogue and a million purchases for the database of the running `make up`, in one transaction.

Variables: PRODUCTS (default 10000), PURCHASES (default 1000000), SEED (default 1: another one, other purchases).
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from functions.schema_migration.sample_data import products as sample_products
from functions.schema_migration.sample_sales import insert, priced_products, sell, stock
from local.engine_requests import EngineRequest
from local.errors import LocalError
from local.progress import Live
from local.run_directory import RunDirectory
from local.tls import ensure_certificates
from local.up import LOCAL
from storefront.database import Connection, Database, DatabaseUnavailableError
from storefront.endpoints import Endpoint
from storefront.engines import driver_of
from storefront.policies import product_key

_STOCK = 1000
_PATIENCE = 60


def main() -> int:
    """0 when the purchases are there, 1 after an error, which it prints."""
    try:
        products, purchases, seed = _number("PRODUCTS", 10_000), _number("PURCHASES", 1_000_000), _number("SEED", 1)
        database = Database(_master(LOCAL))
        started = time.monotonic()
        with Live("purchases", total=purchases) as live:
            added = plant(database, products, purchases, seed=seed, progress=live.show)
    except (LocalError, DatabaseUnavailableError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing was added", file=sys.stderr)
        return 1
    if added:
        print(f"{products:,} products and {purchases:,} purchases in {time.monotonic() - started:.0f} s")
    else:
        print(f"nothing to do: the database has at least {purchases:,} purchases")
    return 0


def plant(database: Database, products: int, purchases: int, *, seed: int, progress: Callable[[int], None]) -> bool:
    """Adds so many products, stock for all that have none, and so many purchases, or nothing when it is interrupted.

    False, and nothing added, when there are so many purchases already.
    """

    def work(connection: Connection) -> bool:
        if connection.rows("SELECT COUNT(*) FROM purchases", ())[0][0] >= purchases:
            return False
        known = {product.id for product in priced_products(connection)}
        insert(connection, "products (name, price)", _catalogue(products))
        all_products = priced_products(connection)
        # As every writer of products does: that one of them does not exist may be cached.
        obsolete = [product_key(product.id) for product in all_products if product.id not in known]
        insert(connection, 'cache_invalidations ("key")', [f"('{key}')" for key in obsolete])
        stock(connection, _STOCK)
        sell(connection, all_products, purchases, seed=seed, progress=progress)
        return True

    return database.transact(work)


def _catalogue(count: int) -> list[str]:
    samples = sample_products()
    rounds = (divmod(number, len(samples)) for number in range(count))
    return [f"('{samples[place][0]} {turn + 2}',{samples[place][1]})" for turn, place in rounds]


def _master(directory: Path) -> Callable[[], Connection]:
    """What connects as the master user: the app's own may not load data in bulk."""
    RunDirectory(directory / "run").require_app()
    found = next(request for request in EngineRequest.find_all(directory / "engines") if request.database)
    os.environ["RDS_CA_FILE"] = str(ensure_certificates(directory / "tls").ca_file)
    connect = driver_of("postgres" if found.kind == "postgres" else "mysql").connect
    return lambda: connect(
        Endpoint("localhost", found.port),
        database=found.database,
        user=found.username,
        password=found.password,
        statement_timeout_seconds=_PATIENCE,
    )


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 10_000_000:
        raise LocalError(f"{variable}={text} is not a number from 1 to 10000000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
