"""An outbox over plain PEP 249 drivers: what commits is delivered, what does not commit is not, and nothing is lost.

Each test runs on PostgreSQL and MariaDB with a driver's own connections, and on SQLite; the cache is a real one whose
rights an operator can take away.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import redis

from cache_aside import CacheAside, Credentials, Dialect, Options, Relay, RelayReport, SqlOutbox, transactions
from local.engines import MariaDB, Postgres, Valkey
from local.tls import ensure_certificates
from tests.cache_aside.conftest import tls_of
from tests.sql_engines import KINDS, SQL_ENGINES

pytestmark = pytest.mark.engines
QUICK = Options(connect_timeout_seconds=5, read_timeout_seconds=5, invalidation_seconds=10)
Connect = Callable[[], Any]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One that the database's unprivileged user can enter."""
    path = Path(tempfile.mkdtemp(prefix="outbox-tests-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module", params=[*SQL_ENGINES, "sqlite"])
def database(request: pytest.FixtureRequest, directory: Path) -> Iterator[tuple[Dialect, Connect]]:
    """How to connect to a database that has a table of products and the outbox."""
    if request.param == "sqlite":
        connect: Connect = lambda: sqlite3.connect(directory / "file", timeout=30)  # noqa: E731
        yield from _made("sqlite", connect)
        return
    engine = KINDS[request.param](
        directory / request.param,
        master_password="a-password-of-the-tests",
        database="shop",
        certificates=ensure_certificates(directory / "tls"),
    )
    engine.start()
    yield from _made("mysql" if request.param == "mysql" else "postgresql", lambda: _connect(engine))
    engine.stop()


def _connect(engine: Postgres | MariaDB) -> Any:
    ca_file = str(engine.certificates.ca_file)
    where: dict[str, Any] = {"host": "localhost", "port": engine.port}
    where |= {"user": engine.master_username, "password": engine.master_password}
    if isinstance(engine, Postgres):
        return psycopg.connect(dbname=engine.database, sslmode="verify-full", sslrootcert=ca_file, **where)
    options: dict[str, Any] = {"ssl_ca": ca_file, "ssl_verify_identity": True, "charset": "utf8mb4"}
    return pymysql.connect(database=engine.database, **options, **where)


def _made(dialect: Dialect, connect: Connect) -> Iterator[tuple[Dialect, Connect]]:
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE product (id integer PRIMARY KEY, price integer NOT NULL)")
    cursor.execute("INSERT INTO product VALUES (1, 1)")
    for _ in ("made", "there already"):
        for statement in SqlOutbox(transactions(connect), dialect=dialect).schema():
            cursor.execute(statement)
    connection.commit()
    connection.close()
    yield dialect, connect


@pytest.fixture
def connection(database: tuple[Dialect, Connect]) -> Iterator[Any]:
    """That of a request."""
    made = database[1]()
    made.cursor().execute("DELETE FROM cache_invalidations")
    made.cursor().execute("DELETE FROM replayed_servers")
    made.commit()
    yield made
    made.close()


@pytest.fixture
def outbox(database: tuple[Dialect, Connect], connection: Any) -> SqlOutbox:
    """Empty."""
    return SqlOutbox(transactions(database[1]), dialect=database[0])


@pytest.fixture
def operator(valkey: Valkey) -> Iterator[redis.Redis]:
    """Somebody with every right on an empty server, who has given the app's user the keys of products only."""
    with redis.Redis(
        port=valkey.port, password=valkey.auth_token, ssl=True, ssl_ca_certs=str(valkey.certificates.ca_file)
    ) as client:
        client.flushall()
        run(client, "ACL", "SETUSER", "app", "reset", "on", ">app", "+@all", "~product:*", "~cache_aside:*")
        yield client
        run(client, "ACL", "DELUSER", "app")


@pytest.fixture
def cache(valkey: Valkey, operator: redis.Redis) -> Iterator[CacheAside]:
    """The app's."""
    credentials = Credentials(lambda: "app", username="app")
    made = CacheAside.connect("localhost", valkey.port, auth_token=credentials, tls=tls_of(valkey), options=QUICK)
    yield made
    made.close()


def run(client: redis.Redis, *command: str) -> None:
    client.execute_command(*command)  # type: ignore[no-untyped-call]


def nobody(valkey: Valkey) -> CacheAside:
    """A cache that is down."""
    return CacheAside.connect("localhost", 1, tls=tls_of(valkey), options=Options(invalidation_seconds=0.01))


def price(connection: Any) -> int:
    cursor = connection.cursor()
    cursor.execute("SELECT price FROM product WHERE id = 1")
    ((found,),) = cursor.fetchall()
    connection.rollback()
    return int(found)


def set_price(connection: Any, value: int) -> None:
    connection.cursor().execute(f"UPDATE product SET price = {int(value)} WHERE id = 1")  # noqa: S608


def test_write_commits_and_then_its_keys_are_deleted(
    outbox: SqlOutbox, connection: Any, cache: CacheAside, operator: redis.Redis
) -> None:
    operator.mset({"product:1": "old", "product:2": "old", "product:3": "old"})
    with outbox.transaction(connection, cache) as write:
        set_price(connection, 2)
        write.invalidates("product:1", "product:2", "product:1")
        assert operator.exists("product:1"), "not before the commit"
    assert write.outcome.confirmed
    assert operator.keys() == [b"product:3"]
    assert price(connection) == 2
    assert outbox.undelivered(10) == []


def test_exception_undoes_the_write_and_deletes_nothing(
    outbox: SqlOutbox, connection: Any, cache: CacheAside, operator: redis.Redis
) -> None:
    operator.set("product:1", "old")
    set_price(connection, 3)
    connection.commit()
    with pytest.raises(ZeroDivisionError), outbox.transaction(connection, cache) as write:  # noqa: PT012
        set_price(connection, 4)
        write.invalidates("product:1")
        1 / 0  # noqa: B018
    with pytest.raises(RuntimeError, match="not committed"):
        _ = write.outcome
    assert operator.exists("product:1")
    assert price(connection) == 3
    assert outbox.recent(0, 10) == []


def test_write_while_the_cache_is_down_succeeds_and_the_relay_delivers_it(
    outbox: SqlOutbox, connection: Any, cache: CacheAside, operator: redis.Redis, valkey: Valkey
) -> None:
    operator.set("product:1", "old")
    with outbox.transaction(connection, nobody(valkey)) as write:
        set_price(connection, 5)
        write.invalidates("product:1")
    assert write.outcome.pending
    assert price(connection) == 5
    assert Relay(nobody(valkey), outbox).run_once() == RelayReport(reachable=False)
    assert Relay(cache, outbox).run_once().delivered == 1
    assert operator.keys() == []


def test_commit_in_the_middle_of_the_block_is_delivered_all_the_same(
    outbox: SqlOutbox, connection: Any, cache: CacheAside, operator: redis.Redis
) -> None:
    operator.set("product:1", "old")
    with pytest.raises(ZeroDivisionError), outbox.transaction(connection, cache) as write:  # noqa: PT012
        set_price(connection, 6)
        write.invalidates("product:1")
        connection.commit()
        1 / 0  # noqa: B018
    assert price(connection) == 6
    assert Relay(cache, outbox).run_once().delivered == 1
    assert operator.keys() == []


def test_error_that_the_block_swallows_is_not_confirmed_as_a_write(
    outbox: SqlOutbox, connection: Any, cache: CacheAside
) -> None:
    set_price(connection, 7)
    connection.commit()
    undone = False
    try:
        with outbox.transaction(connection, cache) as write:
            set_price(connection, 8)
            write.invalidates("product:1")
            with suppress(Exception):
                connection.cursor().execute("INSERT INTO product VALUES (1, 1)")
    except Exception:  # noqa: BLE001 - each driver has its own
        undone = True
    assert price(connection) == (7 if undone else 8)


@pytest.mark.parametrize("others", [False, True], ids=["alone", "and another writer took the row's id"])
def test_rollback_inside_the_block_is_refused_and_marks_nobodys_row(
    outbox: SqlOutbox, database: tuple[Dialect, Connect], connection: Any, cache: CacheAside, others: bool
) -> None:
    with pytest.raises(RuntimeError, match="rolled back within"), outbox.transaction(connection, cache) as write:  # noqa: PT012
        set_price(connection, 9)
        write.invalidates("product:1")
        connection.rollback()
        if others:
            other = database[1]()
            outbox.record(other, ["product:2"])
            other.commit()
            other.close()
    connection.rollback()
    assert [row.key for row in outbox.undelivered(10)] == ["product:2"] * others


def test_key_longer_than_the_column_is_refused(outbox: SqlOutbox, database: Any, connection: Any) -> None:
    if database[0] == "mysql":
        with pytest.raises(ValueError, match="255 characters at most; this one has 256"):
            outbox.record(connection, ["k" * 256])
    longest = "k" * (255 if database[0] == "mysql" else 300)
    assert [row.key for row in outbox.record(connection, [longest])] == [longest]
    connection.rollback()


def test_block_that_has_ended_takes_no_more_keys(outbox: SqlOutbox, connection: Any, cache: CacheAside) -> None:
    with outbox.transaction(connection, cache) as write:
        pass
    assert write.outcome.confirmed, "nothing to do"
    with pytest.raises(RuntimeError, match="begin another one to invalidate product:1"):
        write.invalidates("product:1")


def test_connection_that_commits_each_statement_is_refused(
    outbox: SqlOutbox, database: tuple[Dialect, Connect], cache: CacheAside
) -> None:
    connection = database[1]()
    if database[0] == "sqlite":
        connection.isolation_level = None
    elif database[0] == "mysql":
        connection.autocommit(True)
    else:
        connection.autocommit = True
    with pytest.raises(ValueError, match="autocommit"), outbox.transaction(connection, cache):
        pass
    connection.close()


def test_rows_that_the_server_refuses_hold_up_no_other_and_are_deleted_once_it_allows_it(
    outbox: SqlOutbox, connection: Any, cache: CacheAside, operator: redis.Redis
) -> None:
    good = [f"product:{number}" for number in range(798)]
    bad = ["session:1", "session:2"]
    operator.mset(dict.fromkeys([*good, *bad], "old"))
    outbox.record(connection, [good[0], bad[0], *good[1:500], bad[1], *good[500:]])
    connection.commit()
    relay = Relay(cache, outbox)

    report = relay.run_once()
    assert (report.delivered, report.quarantined, report.reachable) == (798, 2, True)
    assert sorted(operator.keys()) == [b"session:1", b"session:2"]
    assert relay.run_once().quarantined == 2
    assert outbox.undelivered(10) == [], "not due yet"

    run(operator, "ACL", "SETUSER", "app", "~*")
    outbox.quarantine([row.id for row in outbox.recent(0, 1000) if row.attempts], retry_seconds=-1)
    report = relay.run_once()
    assert (report.delivered, report.quarantined) == (2, 0)
    assert operator.keys() == []


def test_old_rows_are_removed_and_those_in_quarantine_stay(outbox: SqlOutbox, connection: Any) -> None:
    rows = outbox.record(connection, ["product:1", "product:2", "product:3"])
    connection.commit()
    outbox.mark_delivered([rows[0].id, rows[1].id])
    outbox.quarantine([rows[1].id], retry_seconds=60)
    outbox.purge(3600)
    assert [row.key for row in outbox.recent(0, 10)] == ["product:1", "product:2", "product:3"]
    outbox.purge(-3600)
    assert [row.key for row in outbox.recent(0, 10)] == ["product:2", "product:3"]
    assert [row.key for row in outbox.undelivered(10)] == ["product:3"]
    assert outbox.quarantined() == 1
    assert outbox.recent(rows[1].id, 10) == [rows[2]]


def test_replays_are_remembered_however_often_they_are_noted(outbox: SqlOutbox) -> None:
    assert not outbox.is_replayed("0" * 40)
    for _ in range(2):
        outbox.record_replayed("0" * 40)
    assert outbox.is_replayed("0" * 40)


def test_connection_that_broke_is_replaced(database: tuple[Dialect, Connect], connection: Any) -> None:
    made = []

    def connect() -> Any:
        made.append(database[1]())
        return made[-1]

    outbox = SqlOutbox(transactions(connect), dialect=database[0])
    assert outbox.quarantined() == outbox.quarantined() == 0
    assert len(made) == 1
    made[0].close()
    with pytest.raises(Exception, match=r"(?i)close|interface|\(0"):
        outbox.quarantined()
    assert outbox.quarantined() == 0
    assert len(made) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dialect": "oracle"}, "dialect must be one of postgresql, mysql, sqlite, not 'oracle'"),
        ({"dialect": "mysql", "paramstyle": "named"}, "paramstyle must be one of format, pyformat, qmark, not 'named'"),
        ({"dialect": "mysql", "table": "a; DROP"}, "'a; DROP' is no name of a table"),
    ],
)
def test_what_cannot_work_is_refused_with_what_is_allowed(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SqlOutbox(transactions(lambda: None), **given)
