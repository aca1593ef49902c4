"""How often the database is asked, by its own statistics."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from wsgiref.types import WSGIApplication

import httpx
import pytest

from local.engines import Postgres
from tests.storefront.clients import wait_until
from tests.storefront.sql import Connection, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


@pytest.fixture
def scans(engine: SqlEngine) -> Iterator[Callable[[], int]]:
    """How often the table of products was read so far."""
    with connect(engine, "storefront") as master:
        if isinstance(engine, Postgres):
            yield partial(_scans_of_postgres, master)
        else:
            master.execute("SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON")
            yield partial(_statements_of_mysql, master)
            master.execute("SET GLOBAL general_log = OFF")


def _scans_of_postgres(master: Connection) -> int:
    # A backend reports what it did when it ends, at the latest.
    of_the_app = "FROM pg_stat_activity WHERE usename = 'storefront_app'"
    master.execute(f"SELECT pg_terminate_backend(pid) {of_the_app}")
    wait_until(lambda: master.execute(f"SELECT {of_the_app}").rowcount == 0)
    statistics = "SELECT seq_scan + idx_scan FROM pg_stat_user_tables WHERE relname = 'products'"
    return int(master.execute(statistics).fetchall()[0][0])


def _statements_of_mysql(master: Connection) -> int:
    logged = "SELECT count(*) FROM mysql.general_log WHERE argument LIKE %s AND user_host LIKE %s"
    return int(master.execute(logged, ["SELECT%FROM products%", "storefront_app%"]).fetchall()[0][0])


def test_fifty_concurrent_reads_of_a_cold_product_are_one_select(
    client: httpx.Client, app: WSGIApplication, product: str, scans: Callable[[], int]
) -> None:
    before = scans()

    def get(_: int) -> str:
        with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as reader:
            return reader.get(product).headers["X-Cache"]

    with ThreadPoolExecutor(50) as pool:
        served = Counter(pool.map(get, range(50)))
    assert (served["MISS"], served["JOINED"] + served["HIT"]) == (1, 49)
    assert scans() == before + 1


def test_second_read_asks_nothing(client: httpx.Client, product: str, scans: Callable[[], int]) -> None:
    client.get(product)
    before = scans()
    for _ in range(20):
        assert client.get(product).headers["X-Cache"] == "HIT"
    assert scans() == before
