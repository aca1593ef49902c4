"""The storefront over a real Valkey and each real SQL engine, which the real migration has prepared."""

import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from local.engines import Postgres, Valkey
from local.tls import Certificates, ensure_certificates
from storefront.bootstrap import build_app, build_relay, connect_database
from storefront.passwords import hash_password
from storefront.settings import Settings
from tests.sql_engines import KINDS, SQL_ENGINES
from tests.storefront.counting import RecordingConnection
from tests.storefront.deployment import (
    AUTH_SECRET,
    AUTH_TOKEN,
    MASTER_SECRET,
    OPERATOR,
    OPERATOR_SECRET,
    migrate,
    variables,
)
from tests.storefront.documented import assert_documented
from tests.storefront.fake_secrets_manager import FakeSecretsManager
from tests.storefront.sql import MASTER, MASTER_PASSWORD, Connection, SqlEngine, connect

_numbers = itertools.count()


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory that PostgreSQL's unprivileged user can enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="storefront-tests-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def certificates(directory: Path) -> Certificates:
    """Those of the engines."""
    return ensure_certificates(directory / "tls")


@pytest.fixture(scope="session")
def valkey(directory: Path, certificates: Certificates) -> Iterator[Valkey]:
    """The cache."""
    engine = Valkey(directory / "valkey", auth_token=AUTH_TOKEN, certificates=certificates)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="session", params=SQL_ENGINES)
def engine(request: pytest.FixtureRequest, directory: Path, certificates: Certificates) -> Iterator[SqlEngine]:
    """The database, once of each kind: see tests/conftest.py."""
    kind = KINDS[request.param]
    engine = kind(
        directory / request.param,
        master_username=MASTER,
        master_password=MASTER_PASSWORD,
        database="storefront",
        certificates=certificates,
    )
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def secrets_manager() -> Iterator[FakeSecretsManager]:
    """Holds the three secrets of a deployment."""
    fake = FakeSecretsManager()
    fake.secrets = {
        AUTH_SECRET: AUTH_TOKEN,
        MASTER_SECRET: json.dumps({"username": MASTER, "password": MASTER_PASSWORD}),
        OPERATOR_SECRET: json.dumps(OPERATOR),
    }
    yield fake
    fake.close()


@pytest.fixture(scope="session")
def environment(valkey: Valkey, engine: SqlEngine, secrets_manager: FakeSecretsManager) -> Iterator[None]:
    """What the deployment sets for both functions. The cache holds nothing of another engine's database."""
    valkey.kill()
    valkey.start()
    given = variables(
        cache=valkey.endpoint,
        database=engine.endpoint,
        engine="postgres" if isinstance(engine, Postgres) else "mysql",
        ca_file=str(valkey.certificates.ca_file),
        aws_url=secrets_manager.url,
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        yield
    # They read the environment when they are imported.
    for module in ("storefront.lambda_handler", "functions.invalidation_relay.handler"):
        sys.modules.pop(module, None)


@pytest.fixture(scope="session")
def migrated(environment: None) -> dict[str, Any]:
    """What the migration answered to the first deployment."""
    return migrate()


@pytest.fixture(scope="session")
def settings(migrated: dict[str, Any]) -> Settings:
    """The app's, but more patient with the cache, so that a busy machine fails no test."""
    return replace(Settings.from_environment(os.environ), cache_timeout_seconds=5)


@pytest.fixture(scope="session")
def app(settings: Settings) -> WSGIApplication:
    """The app, as a WSGI server runs it."""
    return build_app(settings)


def wait_until(condition: Callable[[], bool]) -> None:
    """Blocks until the condition holds; 30 s at most."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def until_cached(client: httpx.Client, path: str) -> None:
    """Waits until the app uses the cache again, which an earlier test may have killed."""
    wait_until(lambda: client.get(path).headers["X-Cache"] != "BYPASS")


@pytest.fixture(scope="session")
def relay(settings: Settings) -> Relay:
    """The invalidation relay, which runs when a test says so."""
    return build_relay(settings)


@pytest.fixture
def cache(valkey: Valkey) -> Iterator[redis.Redis]:
    """What an operator at a prompt talks to."""
    ca_file = str(valkey.certificates.ca_file)
    with redis.Redis(port=valkey.port, password=AUTH_TOKEN, ssl=True, ssl_ca_certs=ca_file) as connected:
        yield connected


@pytest.fixture
def client(app: WSGIApplication, valkey: Valkey, engine: SqlEngine) -> Iterator[httpx.Client]:
    """Talks HTTP to the app. Every answer is held against the OpenAPI document. Both engines run again afterwards."""
    hooks = {"response": [assert_documented]}
    transport = httpx.WSGITransport(app=app)
    with httpx.Client(transport=transport, base_url="http://storefront", event_hooks=hooks) as connected:
        until_cached(connected, "/products/1")
        yield connected
    valkey.start()
    engine.start()


@pytest.fixture
def statements() -> list[str]:
    """What the recorded client's app has asked the database."""
    return []


@pytest.fixture
def recorded(
    client: httpx.Client, settings: Settings, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    """A client of an app whose statements are noted."""

    def recording(settings: Settings) -> RecordingConnection:
        return RecordingConnection(connect_database(settings), lambda statement, _: statements.append(statement))

    monkeypatch.setattr("storefront.bootstrap.connect_database", recording)
    app = build_app(settings)
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as connected:
        until_cached(connected, "/products/1")
        statements.clear()
        yield connected


@pytest.fixture(scope="session")
def token(app: WSGIApplication) -> str:
    """That of a session which no test ends."""
    return log_in(app, OPERATOR)


@pytest.fixture(scope="session")
def new_user(app: WSGIApplication, token: str) -> Callable[[], dict[str, str]]:
    """Makes a customer of a new name; its credentials."""

    def make() -> dict[str, str]:
        credentials = {"username": f"customer-{next(_numbers)}", "password": "a customer's pässword"}
        with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as operator:
            bearer = {"Authorization": f"Bearer {token}"}
            operator.post("/users", json={**credentials, "role": "customer"}, headers=bearer).raise_for_status()
        return credentials

    return make


def log_in(app: WSGIApplication, credentials: dict[str, str]) -> str:
    """The token of a new session."""
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as anonymous:
        return str(anonymous.post("/sessions", json=credentials).json()["token"])


@pytest.fixture
def operator(client: httpx.Client, token: str) -> httpx.Client:
    """The client, logged in."""
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
def customer(app: WSGIApplication, client: httpx.Client, master: Connection) -> Iterator[httpx.Client]:
    """A client that is logged in as a new customer."""
    login = {"username": f"customer-{next(_numbers)}", "password": "a customer's password"}
    insert = "INSERT INTO users (username, password_hash) VALUES (%s, %s)"
    master.execute(insert, [login["username"], hash_password(login["password"])])
    headers = {"Authorization": f"Bearer {client.post('/sessions', json=login).json()['token']}"}
    hooks = {"response": [assert_documented]}
    transport = httpx.WSGITransport(app=app)
    with httpx.Client(
        transport=transport, base_url="http://storefront", event_hooks=hooks, headers=headers
    ) as connected:
        yield connected


@pytest.fixture
def product(operator: httpx.Client) -> str:
    """The path of a new product of version 1, called Chair and for 19.90."""
    created = operator.post("/products", json={"name": "Chair", "price": 19.90})
    assert created.status_code == 201
    return created.headers["Location"]


@pytest.fixture
def master(engine: SqlEngine) -> Iterator[Connection]:
    """A connection of the master user."""
    with connect(engine, "storefront") as connection:
        yield connection


@pytest.fixture
def database(engine: SqlEngine, master: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database and an app role of the same name, to which the migration function is directed."""
    name = f"migration_{next(_numbers)}"
    master.execute(f"CREATE DATABASE {name}")
    monkeypatch.setenv("RDS_DB_NAME", name)
    monkeypatch.setenv("RDS_USER", name)
    yield name
    master.execute(f"DROP DATABASE {name}" + (" WITH (FORCE)" if isinstance(engine, Postgres) else ""))
