"""No statement of a repository reads a whole table that grows, on either engine.

Every public method of every repository is called once on a filled database, with its statements recorded; then the
engine is asked how it would execute each. To add a repository: its calls into CALLS, its tables into GROWING or SMALL.
A method whose statements depend on its arguments is called several times: `lambda it: (it.page(None), it.page(42))`.
"""

import importlib
import inspect
import os
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

import storefront.repositories
from cache_aside import Outbox, SqlOutbox
from local.engines import Postgres
from storefront.bootstrap import connect_database
from storefront.database import Database, Parameters
from storefront.engines import engine_of
from storefront.entities import Flag, Role, Session
from storefront.repositories.flags import FlagRepository
from storefront.repositories.outbox import outbox_of
from storefront.repositories.products import ProductRepository
from storefront.repositories.sales import SalesRepository
from storefront.repositories.sessions import Account, SessionRepository
from storefront.repositories.users import UserRepository
from storefront.settings import Settings
from tests.storefront.counting import RecordingConnection
from tests.storefront.deployment import migrate
from tests.storefront.sql import Connection, SqlEngine, connect

ROWS = 2000
MINUTE = timedelta(minutes=1)
TOKEN_HASH = (1).to_bytes(32, "big")


def now() -> datetime:
    return datetime.now(UTC)


# The 42nd of those who fill the table: the first operator is the first user.
CUSTOMER = Session(43, "user 42", Role.CUSTOMER, now() + 60 * MINUTE, (43).to_bytes(32, "big"))
CALLS: dict[type, dict[str, Callable[[Any], object]]] = {
    ProductRepository: {
        "find": lambda products: products.find(42),
        "find_many": lambda products: products.find_many([42, 4711]),
        "ids_after": lambda products: (products.ids_after(0, 20), products.ids_after(4711, 100)),
        "insert": lambda products: products.insert("Chair", Decimal(1), by=CUSTOMER),
        "update": lambda products: products.update(42, "Stool", Decimal(2), None, by=CUSTOMER),
        "delete": lambda products: products.delete(43, None, by=CUSTOMER),
    },
    SalesRepository: {
        "stock": lambda sales: sales.stock(42),
        "set_stock": lambda sales: sales.set_stock(42, 7, by=CUSTOMER),
        "sell": lambda sales: sales.sell(42, 1, Decimal(1), by=CUSTOMER),
        "bestsellers": lambda sales: sales.bestsellers(100),
    },
    SessionRepository: {
        "find_account": lambda sessions: sessions.find_account("user 42"),
        "insert": lambda sessions: sessions.insert(
            bytes(32), Account(42, "", Role.CUSTOMER), now() + 60 * MINUTE, now=now()
        ),
        "seal_secrets": lambda sessions: sessions.seal_secrets(),
        "find": lambda sessions: sessions.find(TOKEN_HASH, now=now()),
        "delete": lambda sessions: sessions.delete(TOKEN_HASH),
    },
    UserRepository: {
        "insert": lambda users: users.insert("somebody new", "", Role.CUSTOMER, by=CUSTOMER),
        "find_password_hash": lambda users: users.find_password_hash(by=CUSTOMER),
        "change_password": lambda users: users.change_password("", "new", by=CUSTOMER),
        "set_role": lambda users: users.set_role("user 44", None, by=CUSTOMER),
    },
    FlagRepository: {
        "find": lambda flags: flags.find("express-checkout"),
        "update": lambda flags: flags.update(Flag("express-checkout", True, 50), by=CUSTOMER),
    },
}
# The relay's questions to the library's outbox: the methods of `cache_aside.Outbox`.
OUTBOX_CALLS: dict[str, Callable[[SqlOutbox], object]] = {
    "undelivered": lambda outbox: outbox.undelivered(100),
    "mark_delivered": lambda outbox: outbox.mark_delivered([1, 2, 3]),
    "quarantine": lambda outbox: outbox.quarantine([1, 2, 3], 60),
    "quarantined": lambda outbox: outbox.quarantined(),
    "recent": lambda outbox: outbox.recent(ROWS - 100, 100),
    "purge": lambda outbox: outbox.purge(600),
    "is_replayed": lambda outbox: outbox.is_replayed("0" * 40),
    "record_replayed": lambda outbox: outbox.record_replayed("0" * 40),
}
READS_ALL = {
    # The aggregation that the leaderboard's policy is for, joined with names.
    "SalesRepository.bestsellers": {"purchases", "products"},
}
SMALL = {"alembic_version", "flags", "replayed_servers", "seal_secrets"}


class Filling(NamedTuple):
    """The columns of a table, and the values of row `number`, from 1."""

    columns: Sequence[str]
    row: Callable[[int], Sequence[object]]


# In an order that foreign keys allow. The first operator is there already.
GROWING = {
    "products": Filling(("name", "price"), lambda number: (f"Product {number}", 1)),
    "users": Filling(("username", "password_hash"), lambda number: (f"user {number}", "")),
    "sessions": Filling(
        ("token_hash", "user_id", "expires_at"),
        lambda number: (number.to_bytes(32, "big"), number, now() + number % 60 * MINUTE),
    ),
    "inventory": Filling(("product_id", "available"), lambda number: (number, 10)),
    "purchases": Filling(
        ("product_id", "user_id", "quantity", "unit_price"),
        lambda number: (number, number, 1, 1),
    ),
    # All but a few were delivered within the time for which they are kept.
    "cache_invalidations": Filling(
        ("key", "delivered_at"),
        lambda number: (f"product:{number}", now() - number % 9 * MINUTE if number % 100 else None),
    ),
}


@pytest.fixture
def filled(environment: None, database: str, engine: SqlEngine) -> Iterator[Connection]:
    """A master's connection to a database with thousands of rows in every table that grows."""
    migrate(sample_data="false")
    with connect(engine, database) as connection:
        for table, (columns, row) in GROWING.items():
            connection.fill(table, columns, map(row, range(1, ROWS + 1)))
        for table in GROWING:
            connection.execute(f"ANALYZE {table}" if isinstance(engine, Postgres) else f"ANALYZE TABLE {table}")
        yield connection


def read_whole_by_postgres(connection: Connection, statement: str, parameters: Parameters) -> set[str]:
    """The tables that the statement would read from end to end, or an index of theirs."""

    def scanned(plan: dict[str, Any]) -> Iterator[str]:
        node = plan["Node Type"]
        if "Seq Scan" in node or (node.startswith("Index") and "Index Cond" not in plan):
            yield plan["Relation Name"]
        for part in plan.get("Plans", []):
            yield from scanned(part)

    ((explained,),) = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).rows
    return set(scanned(explained[0]["Plan"]))


def read_whole_by_mysql(connection: Connection, statement: str, parameters: Parameters) -> set[str]:
    """The tables that the statement would read from end to end, or an index of theirs; a page of it is no whole."""
    explained = connection.execute(f"EXPLAIN {statement}", parameters)
    steps = [dict(zip(explained.columns, row, strict=True)) for row in explained.rows]
    read = [step for step in steps if step["select_type"] != "INSERT" and step["type"] in {"ALL", "index"}]
    return {str(step["table"]) for step in read if int(step["rows"]) > ROWS / 2}


def statements_of(make: Callable[[Database], Any], call: Callable[[Any], object]) -> list[tuple[str, Parameters]]:
    """What the call asks of the database to which the environment leads."""
    noted: list[tuple[str, Parameters]] = []
    connection = connect_database(Settings.from_environment(os.environ))
    recorder = RecordingConnection(connection, lambda *statement: noted.append(statement))
    call(make(Database(lambda: recorder)))
    recorder.close()
    asked = [given for given in noted if given[0] not in {"BEGIN", "COMMIT"}]
    assert asked
    return asked


def repositories() -> Iterator[type]:
    for module in pkgutil.iter_modules(storefront.repositories.__path__):
        found = importlib.import_module(f"storefront.repositories.{module.name}")
        for _, kind in inspect.getmembers(found, inspect.isclass):
            if kind.__module__ == found.__name__ and kind.__name__.endswith("Repository"):
                yield kind


def public_methods(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_public_method_of_every_repository_is_called() -> None:
    assert {kind: set(calls) for kind, calls in CALLS.items()} == {
        kind: public_methods(kind) for kind in repositories()
    }
    assert set(OUTBOX_CALLS) == public_methods(Outbox)


@pytest.mark.engines
@pytest.mark.every_engine
def test_every_table_is_known_to_grow_or_to_stay_small(migrated: object, engine: SqlEngine, master: Connection) -> None:
    assert master.tables() == SMALL | set(GROWING)


@pytest.mark.engines
@pytest.mark.every_engine
def test_no_statement_reads_a_whole_table_that_grows(filled: Connection, engine: SqlEngine) -> None:
    found = read_whole(filled, engine)
    assert {name: tables for name, tables in found.items() if not tables <= READS_ALL.get(name, set())} == {}


@pytest.mark.engines
@pytest.mark.every_engine
def test_missing_index_is_found(filled: Connection, engine: SqlEngine) -> None:
    if isinstance(engine, Postgres):
        filled.execute("DROP INDEX cache_invalidations_delivery")
        filled.execute("ALTER TABLE users DROP CONSTRAINT users_username_key")
    else:
        filled.execute("ALTER TABLE cache_invalidations DROP INDEX cache_invalidations_delivery")
        filled.execute("ALTER TABLE users DROP INDEX username")
    found = read_whole(filled, engine)
    assert found["SessionRepository.find_account"] == {"users"}
    assert found["SqlOutbox.purge"] == {"cache_invalidations"}


def read_whole(filled: Connection, engine: SqlEngine) -> dict[str, set[str]]:
    """The methods with statements that read whole tables that grow, and which."""
    explain = read_whole_by_postgres if isinstance(engine, Postgres) else read_whole_by_mysql
    found: defaultdict[str, set[str]] = defaultdict(set)
    for kind, calls in CALLS.items():
        for name, call in calls.items():
            for statement, parameters in statements_of(kind, call):
                found[f"{kind.__name__}.{name}"] |= explain(filled, statement, parameters) & set(GROWING)
    for name, ask in OUTBOX_CALLS.items():
        for statement, parameters in statements_of(lambda it: outbox_of(it, engine_of(os.environ)), ask):
            found[f"SqlOutbox.{name}"] |= explain(filled, statement, parameters) & set(GROWING)
    return found
