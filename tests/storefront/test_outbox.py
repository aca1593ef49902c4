"""Every write records what it makes obsolete, and the cache forgets it: at once, or by the relay."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Never

import httpx
import pytest
import redis

from cache_aside import CacheAside, Dialect, Options, OutboxRow, Relay, SqlOutbox
from faults.fake_server import FakeServer
from local.engines import Valkey
from storefront.bootstrap import build_relay, connect_database
from storefront.database import Database, DatabaseUnavailableError
from storefront.repositories.outbox import outbox_of, record
from storefront.repositories.products import ProductRepository
from storefront.repositories.sessions import SessionRepository
from storefront.services.sessions import token_hash
from storefront.settings import Settings
from tests.cache_aside.harness import Counted, FakeTransport
from tests.storefront.clients import until_cached, wait_until
from tests.storefront.deployment import frozen
from tests.storefront.sql import Connection, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

WINDOW_SECONDS = 600  # for which the relay keeps what it has delivered, by default
STOOL = {"name": "Stool", "price": 5}


@pytest.fixture
def database_of_another(settings: Settings) -> Database:
    """The database as another process of the app reaches it."""
    return Database(lambda: connect_database(settings))


def key_of(path: str) -> str:
    """`/products/42` is cached as `product:42`."""
    return f"product:{path.removeprefix('/products/')}"


def rows(master: Connection, path: str) -> list[bool]:
    """Whether each of the product's outbox rows is delivered, oldest first."""
    statement = 'SELECT delivered_at IS NOT NULL FROM cache_invalidations WHERE "key" = %s ORDER BY id'
    return [bool(row[0]) for row in master.execute(statement, [key_of(path)]).fetchall()]


def test_every_write_records_its_key_once_and_marks_it_delivered(
    operator: httpx.Client, product: str, master: Connection
) -> None:
    assert rows(master, product) == [True]
    operator.put(product, json=STOOL)
    assert rows(master, product) == [True] * 2
    operator.delete(product)
    assert rows(master, product) == [True] * 3


def test_write_that_changes_nothing_records_nothing(operator: httpx.Client, product: str, master: Connection) -> None:
    assert operator.put(product, json=STOOL, headers={"If-Match": '"7"'}).status_code == 412
    assert operator.delete(product, headers={"If-Match": '"7"'}).status_code == 412
    assert operator.put("/products/987654321", json=STOOL).status_code == 404
    assert operator.delete("/products/987654321").status_code == 404
    assert rows(master, product) == [True]
    assert rows(master, "/products/987654321") == []


def test_writer_that_dies_after_its_commit_leaves_the_deletion_to_the_relay(
    operator: httpx.Client, product: str, token: str, master: Connection, database_of_another: Database, relay: Relay
) -> None:
    operator.get(product)
    product_id = int(product.removeprefix("/products/"))
    session = SessionRepository(database_of_another).find(token_hash(token), now=datetime.now(UTC))
    assert session
    assert ProductRepository(database_of_another).update(product_id, "Stool", Decimal(5), None, by=session)
    assert operator.get(product).json()["name"] == "Chair"
    assert rows(master, product) == [True, False]

    assert relay.run_once().delivered >= 1
    assert rows(master, product) == [True, True]
    assert operator.get(product).json()["name"] == "Stool"
    assert relay.run_once().delivered == 0


def test_write_while_the_cache_is_down_is_delivered_once_it_is_back(
    operator: httpx.Client, product: str, master: Connection, valkey: Valkey, relay: Relay
) -> None:
    valkey.kill()
    assert operator.put(product, json=STOOL).headers["X-Invalidation"] == "pending"
    assert not relay.run_once().reachable
    assert rows(master, product) == [True, False]
    valkey.start()
    assert relay.run_once().delivered >= 1
    assert rows(master, product) == [True, True]
    until_cached(operator, product)
    assert operator.get(product).json()["name"] == "Stool"


def test_hung_cache_makes_the_deletion_pending_within_its_deadline(
    operator: httpx.Client, product: str, master: Connection, valkey: Valkey, relay: Relay
) -> None:
    operator.get(product)
    with frozen(valkey):
        assert operator.put(product, json=STOOL).headers["X-Invalidation"] == "pending"
        assert operator.get(product).json()["name"] == "Stool"
    relay.run_once()
    assert rows(master, product) == [True, True]
    until_cached(operator, product)
    assert operator.get(product).json()["name"] == "Stool"


def test_transaction_that_commits_late_is_not_missed(
    product: str, operator: httpx.Client, master: Connection, engine: SqlEngine, relay: Relay
) -> None:
    with master.transaction():
        master.execute('INSERT INTO cache_invalidations ("key") VALUES (%s)', [key_of(product)])
        operator.put("/products/2", json=STOOL)
        relay.run_once()
    assert rows(master, product) == [True, False]
    assert relay.run_once().delivered == 1
    assert rows(master, product) == [True, True]


def test_row_is_marked_by_whoever_delivers_it_first_and_never_again(
    master: Connection, database_of_another: Database, settings: Settings
) -> None:
    inserted = (master.insert("INSERT INTO cache_invalidations (\"key\") VALUES ('product:0')"),)
    outbox = outbox_of(database_of_another, settings.engine)
    outbox.mark_delivered(inserted)
    marked = "SELECT delivered_at FROM cache_invalidations WHERE id = %s"
    first = master.execute(marked, inserted).fetchone()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(outbox.mark_delivered, [inserted] * 4))
    assert master.execute(marked, inserted).fetchone() == first


def test_deletion_that_a_failover_lost_is_repeated_on_the_new_primary(
    operator: httpx.Client,
    product: str,
    master: Connection,
    valkey: Valkey,
    cache: redis.Redis,
    relay: Relay,
) -> None:
    relay.run_once()
    operator.get(product)
    before = cache.get(key_of(product))
    assert isinstance(before, bytes)
    operator.put(product, json=STOOL)
    valkey.kill()
    valkey.start()
    cache.set(key_of(product), before, px=60_000)
    until_cached(operator, product)
    assert operator.get(product).json()["name"] == "Chair"

    assert relay.run_once().replayed >= 1
    assert operator.get(product).json()["name"] == "Stool"
    assert relay.run_once().replayed == 0


def age(master: Connection, path: str, seconds: int) -> None:
    """The product's outbox rows are delivered that much earlier."""
    times = 'SELECT id, delivered_at FROM cache_invalidations WHERE "key" = %s'
    for row, delivered_at in master.execute(times, [key_of(path)]).fetchall():
        earlier = delivered_at - timedelta(seconds=seconds)
        master.execute("UPDATE cache_invalidations SET delivered_at = %s WHERE id = %s", [earlier, row])


def test_only_rows_delivered_before_the_window_are_removed(
    operator: httpx.Client, product: str, master: Connection, valkey: Valkey, relay: Relay
) -> None:
    operator.put(product, json=STOOL)
    age(master, product, WINDOW_SECONDS - 60)
    relay.run_once()
    assert rows(master, product) == [True, True]
    age(master, product, 120)
    valkey.kill()
    operator.put(product, json=STOOL)
    relay.run_once()
    assert rows(master, product) == [True, True, False]
    valkey.start()
    relay.run_once()
    assert rows(master, product) == [True]


def test_deletion_that_cannot_be_marked_is_confirmed_all_the_same() -> None:
    def refuse() -> Never:
        raise DatabaseUnavailableError("gone since the commit")

    cache = CacheAside(FakeTransport(FakeServer(time.monotonic)))
    outbox = outbox_of(Database(refuse), "postgres")
    assert outbox.deliver(cache, [OutboxRow(1, "product:1")]).confirmed


def test_many_rows_are_delivered_by_one_deletion_and_one_mark(
    database_of_another: Database, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    server, outbox = FakeServer(time.monotonic), outbox_of(database_of_another, settings.engine)
    keys = [f"product:0{number}" for number in range(5)]
    given = database_of_another.transact(lambda connection: record(connection, *keys))
    cut = Counted(FakeTransport(server))
    cache = CacheAside(cut, options=Options(invalidation_seconds=0.01))

    cut.cut = True
    assert outbox.deliver(cache, given).pending
    assert "product:00, product:01, product:02 and 2 more" in caplog.text
    assert {row.key for row in outbox.undelivered(1000)} >= set(keys)
    cut.cut = False
    assert outbox.deliver(cache, given).keys == tuple(keys)
    assert not {row.key for row in outbox.undelivered(1000)} & set(keys)
    assert outbox.deliver(cache, []).confirmed


def test_relay_in_a_thread_goes_on_after_a_failure(
    engine: SqlEngine, valkey: Valkey, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    stopped = threading.Event()
    relay = build_relay(settings)
    thread = threading.Thread(target=relay.run_until, args=[stopped], kwargs={"period_seconds": 0.05})
    engine.kill()
    thread.start()
    try:
        wait_until(lambda: "the invalidation relay fails and tries again" in caplog.text)
        engine.start()
        with connect(engine, "storefront") as master:
            master.execute("INSERT INTO cache_invalidations (\"key\") VALUES ('product:0')")
            wait_until(lambda: all(rows(master, "/products/0")))
    finally:
        stopped.set()
        thread.join()


def columns(master: Connection, table: str) -> set[tuple[object, ...]]:
    """Name, type, length and nullability of each."""
    statement = """
        SELECT column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns
        WHERE table_name = %s"""
    return {tuple(row) for row in master.execute(statement, [table]).fetchall()}


def test_tables_of_the_app_are_those_that_the_library_would_make(
    migrated: object, master: Connection, settings: Settings
) -> None:
    dialect: Dialect = "mysql" if settings.engine == "mysql" else "postgresql"
    plain = SqlOutbox(nullcontext, dialect=dialect, table="plain_outbox", servers_table="plain_servers")
    for statement in plain.schema():
        master.execute(statement)
    try:
        assert columns(master, "cache_invalidations") == columns(master, "plain_outbox") != set()
        assert columns(master, "replayed_servers") == columns(master, "plain_servers") != set()
    finally:
        master.execute("DROP TABLE plain_outbox")
        master.execute("DROP TABLE plain_servers")


def test_scheduled_function_reports_what_it_did(
    master: Connection, valkey: Valkey, migrated: object, capsys: pytest.CaptureFixture[str]
) -> None:
    from functions.invalidation_relay.handler import handler

    handler({}, None)
    master.execute("INSERT INTO cache_invalidations (\"key\") VALUES ('product:0')")
    assert handler({}, None) == {"delivered": 1, "replayed": 0, "quarantined": 0, "reachable": True}
    assert '"CONFIRMED":1' in capsys.readouterr().out
    valkey.kill()
    assert handler({}, None) == {"delivered": 0, "replayed": 0, "quarantined": 0, "reachable": False}
    valkey.start()
