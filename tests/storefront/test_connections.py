"""Connections to the database as the app uses them: what they promise is the same on both engines."""

import contextlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier

import pytest

from local.engines import Postgres
from local.tls import ensure_certificates
from storefront import database
from storefront.bootstrap import connect_database
from storefront.database import Database, DatabaseUnavailableError, DuplicateError
from storefront.settings import Settings
from tests.storefront.clients import wait_until
from tests.storefront.deployment import frozen
from tests.storefront.sql import Connection, SqlEngine

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]


@pytest.fixture
def connection(settings: Settings) -> Iterator[database.Connection]:
    """One of the app's."""
    connected = connect_database(settings)
    yield connected
    connected.close()


@pytest.fixture
def products(master: Connection) -> list[int]:
    """The ids of two new ones."""
    insert = "INSERT INTO products (name, price) VALUES ('Chair', 1)"
    return [master.insert(insert), master.insert(insert)]


def test_open_connection_is_not_taken_for_a_closed_one(connection: database.Connection) -> None:
    for _ in range(3):
        assert connection.rows("SELECT 1", ()) == [(1,)]
        assert not connection.closed()


def test_restarted_server_is_noticed_before_a_statement_is_sent(
    connection: database.Connection, engine: SqlEngine
) -> None:
    engine.kill()
    wait_until(connection.closed)
    engine.start()
    with pytest.raises(database.ConnectionLostError):
        connection.rows("SELECT 1", ())


def test_frozen_server_costs_the_connection_in_bounded_time(connection: database.Connection, engine: SqlEngine) -> None:
    with frozen(engine), pytest.raises(DatabaseUnavailableError) as raised:
        connection.rows("SELECT 1", ())
    assert not isinstance(raised.value, database.ConnectionLostError)
    assert connection.closed()


def test_server_of_another_authority_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RDS_CA_FILE", str(ensure_certificates(tmp_path).ca_file))
    with pytest.raises(DatabaseUnavailableError, match="certificate verify failed"):
        connect_database(settings)


def test_server_of_another_name_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *rest, **more: resolve("127.0.0.1", *rest, **more))
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    renamed = replace(settings, database=settings.database._replace(host="database.example.com"))
    with pytest.raises(DatabaseUnavailableError, match=r"certificate verify failed|does not match host name"):
        connect_database(renamed)


def test_duplicate_is_told_apart(connection: database.Connection) -> None:
    statement = "INSERT INTO replayed_servers (replication_id) VALUES (%(id)s)"
    given = {"id": os.urandom(20).hex()}
    assert connection.change(statement, given) == 1
    with pytest.raises(DuplicateError):
        connection.change(statement, given)


def test_change_counts_what_it_found_even_when_nothing_differs(
    connection: database.Connection, products: list[int]
) -> None:
    statement = "UPDATE products SET name = 'Chair' WHERE id IN (%s, %s)"
    assert connection.change(statement, products) == 2


def test_times_are_in_utc_to_the_microsecond(connection: database.Connection, master: Connection) -> None:
    user = master.insert("INSERT INTO users (username, password_hash) VALUES (%s, '')", [os.urandom(8).hex()])
    expires_at = datetime(2030, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=5)))
    values = {"hash": os.urandom(32), "user_id": user, "expires_at": expires_at}
    statement = "INSERT INTO sessions (token_hash, user_id, expires_at) VALUES (%(hash)s, %(user_id)s, %(expires_at)s)"
    connection.change(statement, values)
    rows = connection.rows("SELECT token_hash, expires_at FROM sessions WHERE user_id = %(user_id)s", values)
    assert [(found, at.replace(tzinfo=UTC)) for found, at in rows] == [(values["hash"], expires_at)]


def test_booleans_and_text_come_back_as_they_were(connection: database.Connection, master: Connection) -> None:
    name = os.urandom(8).hex()
    text = "a 'quoted' \\ \"back\"slash % 100 % \N{SNOWMAN}\N{GRINNING FACE}"
    master.execute(
        "INSERT INTO flags (name, enabled, rollout_percent, deployed) VALUES (%s, true, 0, %s)", [name, text]
    )
    rows = connection.rows("SELECT enabled, deployed FROM flags WHERE name = %(name)s", {"name": name})
    assert rows == [(True, text)]
    assert rows[0][0] is True


def test_statement_that_takes_too_long_is_ended(connection: database.Connection, engine: SqlEngine) -> None:
    statement = "SELECT pg_sleep(20)" if isinstance(engine, Postgres) else "SELECT sleep(20) FROM products"
    with pytest.raises(DatabaseUnavailableError):
        connection.rows(statement, ())


def test_waiting_for_a_lock_is_ended_and_the_connection_stays_usable(
    connection: database.Connection, master: Connection, products: list[int]
) -> None:
    with master.transaction():
        master.execute("SELECT 1 FROM products WHERE id = %s FOR UPDATE", products[:1])
        with pytest.raises(DatabaseUnavailableError):
            connection.change("DELETE FROM products WHERE id = %s", products[:1])
    assert connection.change("DELETE FROM products WHERE id = %s", products[:1]) == 1


def test_deadlock_is_repeated_until_both_have_committed(settings: Settings, products: list[int]) -> None:
    both_hold_one = Barrier(2)
    tries = []

    def update(first: int, second: int) -> None:
        def work(connection: database.Connection) -> None:
            tries.append(first)
            statement = "UPDATE products SET version = version + 1 WHERE id = %(id)s"
            connection.change(statement, {"id": first})
            if len(tries) <= 2:
                both_hold_one.wait(10)
            connection.change(statement, {"id": second})

        Database(lambda: connect_database(settings)).transact(work)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(update, products, reversed(products)))
    assert len(tries) == 3
    found = Database(lambda: connect_database(settings)).read(
        "SELECT version FROM products WHERE id IN (%s, %s)", products
    )
    assert found == [(3,), (3,)]


def test_transaction_that_swallows_the_error_of_a_statement_is_undone_and_said_so(
    settings: Settings, connection: database.Connection, products: list[int]
) -> None:
    def work(transaction: database.Connection) -> str:
        transaction.change("UPDATE products SET name = 'Stool' WHERE id = %s", products[:1])
        for _ in range(2):
            with contextlib.suppress(DuplicateError):
                transaction.change("INSERT INTO replayed_servers (replication_id) VALUES ('twice')", ())
        return "written"

    with pytest.raises(RuntimeError, match="a statement of this transaction failed"):
        Database(lambda: connection).transact(work)
    assert connection.rows("SELECT name FROM products WHERE id = %s", products[:1]) == [("Chair",)]
    assert Database(lambda: connection).transact(lambda transaction: transaction.rows("SELECT 1", ())) == [(1,)]


def test_server_that_became_the_standby_is_left(
    connection: database.Connection, master: Connection, engine: SqlEngine
) -> None:
    if isinstance(engine, Postgres):
        connection.change("SET default_transaction_read_only = on", ())
        undo = "SELECT 1"
    else:
        master.execute("SET GLOBAL read_only = ON")
        undo = "SET GLOBAL read_only = OFF"
    try:
        with pytest.raises(DatabaseUnavailableError):
            connection.change("DELETE FROM products WHERE id = -1", ())
    finally:
        master.execute(undo)
    assert connection.closed()


@pytest.mark.only_on("mysql")
def test_session_of_mysql_is_strict_and_bounded(connection: database.Connection) -> None:
    settings = "@@time_zone, @@tx_isolation, @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@wait_timeout"
    assert connection.rows(f"SELECT {settings}, @@autocommit", ()) == [("+00:00", "READ-COMMITTED", 2, 2, 60, 1)]
    modes = connection.rows("SELECT @@sql_mode", ())[0][0].split(",")
    assert {"ANSI_QUOTES", "PIPES_AS_CONCAT", "STRICT_ALL_TABLES", "NO_ZERO_DATE"} <= set(modes)
