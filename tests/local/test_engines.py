"""The engines as clients meet them: behind TLS, with a password, and mortal."""

import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pymysql
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.engines import EngineError, MariaDB, Postgres, Valkey
from local.engines.mariadb import check_mariadb
from local.engines.postgres import check_postgres
from local.tls import Certificates, ensure_certificates
from tests.sql_engines import KINDS, SQL_ENGINES

pytestmark = pytest.mark.engines
TOKEN, PASSWORD = "the-token-of-this-test", "a 'quoted' pässword"
Database = Postgres | MariaDB


@pytest.fixture(scope="module")
def one_valkey(module_home: Path, certificates: Certificates) -> Iterator[Valkey]:
    engine = Valkey(module_home / "valkey", auth_token=TOKEN, certificates=certificates)
    yield engine
    engine.stop()


@pytest.fixture
def valkey(one_valkey: Valkey) -> Valkey:
    """The server, which runs whatever the test before did to it."""
    one_valkey.start()
    return one_valkey


@pytest.fixture(scope="module", params=SQL_ENGINES)
def one_engine(request: pytest.FixtureRequest, module_home: Path, certificates: Certificates) -> Iterator[Database]:
    kind = KINDS[request.param]
    engine = kind(module_home / request.param, master_password=PASSWORD, database="shop", certificates=certificates)
    yield engine
    engine.stop()


@pytest.fixture
def engine(one_engine: Database) -> Database:
    """The server, which runs whatever the test before did to it."""
    one_engine.start()
    return one_engine


def redis_client(engine: Valkey, *, password: str = TOKEN, ca_file: Path | None = None) -> redis.Redis:
    return redis.Redis(
        port=engine.port,
        password=password,
        ssl=True,
        ssl_ca_certs=str(ca_file or engine.certificates.ca_file),
        retry=Retry(NoBackoff(), 0),
    )


_OWN = Path("its own")


def log_in(engine: Database, *, password: str = PASSWORD, ca_file: Path | None = _OWN) -> Any:
    """A connection of the master user that commits at once; over plain text without `ca_file`."""
    roots = str(engine.certificates.ca_file if ca_file == _OWN else ca_file)
    where: dict[str, Any] = {"host": "localhost", "port": engine.port, "user": engine.master_username}
    if isinstance(engine, Postgres):
        tls: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": roots} if ca_file else {"sslmode": "disable"}
        return psycopg.connect(dbname=engine.database, password=password, autocommit=True, **where, **tls)
    mysql_tls: dict[str, Any] = {"ssl_ca": roots, "ssl_verify_identity": True} if ca_file else {"ssl_disabled": True}
    login: dict[str, Any] = {"database": engine.database, "password": password.encode(), "autocommit": True}
    return pymysql.connect(**login, **where, **mysql_tls)


def test_valkey_asks_for_its_token(valkey: Valkey) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis_client(valkey, password="wrong").ping()


def test_valkey_is_refused_by_a_client_of_another_authority(valkey: Valkey, tmp_path: Path) -> None:
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        redis_client(valkey, ca_file=ensure_certificates(tmp_path).ca_file).ping()


def test_valkey_starts_empty_on_the_same_endpoint_after_it_was_killed(valkey: Valkey) -> None:
    redis_client(valkey).set("key", "value")
    endpoint = valkey.endpoint
    valkey.kill()
    with pytest.raises(redis.ConnectionError):
        redis_client(valkey).ping()
    valkey.start()
    assert valkey.endpoint == endpoint
    assert redis_client(valkey).get("key") is None


def test_no_handshake_is_lost_while_the_engine_is_dialled(valkey: Valkey) -> None:
    context = ssl.create_default_context(cafile=valkey.certificates.ca_file)
    for _ in range(50):  # a client whose ClientHello follows its SYN at once
        with (
            socket.create_connection(("localhost", valkey.port), timeout=2) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            assert tls.version() == "TLSv1.3"


def test_database_keeps_its_data_when_it_is_killed(engine: Database) -> None:
    with closing(log_in(engine)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    engine.kill()
    with pytest.raises(engine.not_ready):
        log_in(engine)
    engine.start()
    with closing(log_in(engine)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert list(cursor.fetchall()) == [(42,)]


def test_database_checks_the_password(engine: Database) -> None:
    with pytest.raises(engine.not_ready, match=r"password authentication failed|Access denied"):
        log_in(engine, password="wrong")


def test_database_is_refused_by_a_client_of_another_authority(engine: Database, tmp_path: Path) -> None:
    with pytest.raises(engine.not_ready, match="certificate verify failed"):
        log_in(engine, ca_file=ensure_certificates(tmp_path).ca_file)


def test_database_speaks_no_plain_text(engine: Database) -> None:
    with pytest.raises(engine.not_ready):
        log_in(engine, ca_file=None)


def test_nobody_else_can_read_a_password_of_the_database(engine: Database) -> None:
    assert engine.directory.stat().st_mode & 0o077 == 0
    process = psutil.Process(engine.pid)
    assert not [part for part in process.cmdline() if PASSWORD in part]


@pytest.mark.only_on("mysql")
def test_mariadb_takes_another_password_at_its_next_start(engine: Database) -> None:
    engine.stop()
    engine.master_password = "another one"
    engine.start()
    log_in(engine, password="another one").close()
    engine.stop()
    engine.master_password = PASSWORD


def nobody_else_can_take_its_place(engine: Valkey | Postgres) -> None:
    assert psutil.Process(engine.pid).net_connections("inet") == []
    assert engine.directory.stat().st_mode & 0o077 == 0  # where its socket is


def test_nobody_else_can_take_the_place_of_a_killed_valkey(valkey: Valkey) -> None:
    nobody_else_can_take_its_place(valkey)


@pytest.mark.only_on("postgres")
def test_nobody_else_can_take_the_place_of_a_killed_database(engine: Database) -> None:
    assert isinstance(engine, Postgres)
    nobody_else_can_take_its_place(engine)


def test_engine_and_front_see_none_of_the_shells_variables(
    home: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-shell")
    engine = Valkey(home / "valkey", auth_token=TOKEN, certificates=certificates)
    engine.start()
    seen = [psutil.Process(pid).environ() for _, pid in engine.processes()]
    engine.stop()
    assert not [environment for environment in seen if "of-the-shell" in environment.values()]


def test_missing_mariadb_is_told_with_the_command_that_installs_it(
    home: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.engines.mariadb._SEARCHED", str(home))
    missing = MariaDB(home / "mariadb", master_password=PASSWORD, database="shop", certificates=certificates)
    with pytest.raises(EngineError, match="apt-get install mariadb-server-core"):
        missing.start()


def test_stopped_engine_leaves_no_process(valkey: Valkey) -> None:
    pids = valkey.pid, valkey.front_pid
    valkey.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIG_DFL)


@pytest.mark.parametrize("check", [check_postgres, pytest.param(check_mariadb, marks=pytest.mark.only_on("mysql"))])
def test_directory_that_a_database_cannot_enter_is_named(home: Path, check: Callable[[Path], None]) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    as_root: AbstractContextManager[object] = pytest.raises(EngineError, match=f"cannot enter {closed} ")
    with as_root if os.geteuid() == 0 else nullcontext():
        check(closed / "database")
