"""The engines as clients meet them: behind TLS, with a password, and mortal."""

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.engines import EngineError, Postgres, Valkey, check_access
from local.tls import Certificates, ensure_certificates

pytestmark = pytest.mark.engines
TOKEN, PASSWORD = "the-token-of-this-test", "a 'quoted' password"


@pytest.fixture
def valkey(home: Path, certificates: Certificates) -> Iterator[Valkey]:
    engine = Valkey(home / "valkey", auth_token=TOKEN, certificates=certificates)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def postgres(home: Path, certificates: Certificates) -> Iterator[Postgres]:
    engine = Postgres(home / "postgres", master_password=PASSWORD, database="shop", certificates=certificates)
    engine.start()
    yield engine
    engine.stop()


def redis_client(engine: Valkey, *, password: str = TOKEN, ca_file: Path | None = None) -> redis.Redis:
    return redis.Redis(
        port=engine.port,
        password=password,
        ssl=True,
        ssl_ca_certs=str(ca_file or engine.certificates.ca_file),
        retry=Retry(NoBackoff(), 0),
    )


def connect(engine: Postgres, **options: str) -> psycopg.Connection[tuple[object, ...]]:
    known = {"password": PASSWORD, "sslmode": "verify-full", "sslrootcert": str(engine.certificates.ca_file)}
    where = {"host": "localhost", "port": str(engine.port), "dbname": engine.database, "user": engine.master_username}
    return psycopg.connect(**{**where, **known, **options})  # type: ignore[arg-type]


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


def test_postgres_keeps_its_data_when_it_is_killed(postgres: Postgres) -> None:
    with connect(postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        connect(postgres)
    postgres.start()
    with connect(postgres) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]


def test_postgres_checks_the_password(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres, password="wrong")


def test_postgres_speaks_no_plain_text(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError):
        connect(postgres, sslmode="disable")


def test_stopped_engine_leaves_no_process(valkey: Valkey) -> None:
    pids = valkey.pid, valkey.front_pid
    valkey.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIG_DFL)


def test_directory_that_postgres_cannot_enter_is_named(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    as_root: AbstractContextManager[object] = pytest.raises(EngineError, match=f"cannot enter {closed} ")
    with as_root if os.geteuid() == 0 else nullcontext():
        check_access(closed / "postgres")
