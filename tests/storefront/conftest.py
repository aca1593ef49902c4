"""The storefront over HTTP, on a deployment of running.py.

Tests run on PostgreSQL; those marked `every_engine`, which are about what the engines do differently, on each:
`pytestmark = pytest.mark.every_engine`. See tests/conftest.py for engines that the machine lacks.
"""

import itertools
from collections.abc import Callable, Iterator
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from local.engines import Postgres, Valkey
from storefront.bootstrap import build_app, build_relay, connect_database
from storefront.passwords import hash_password
from storefront.settings import Settings
from tests.storefront.clients import log_in, until_cached
from tests.storefront.counting import RecordingConnection
from tests.storefront.deployment import AUTH_TOKEN, OPERATOR
from tests.storefront.documented import assert_documented
from tests.storefront.running import (
    CHEAP,
    app,
    certificates,
    directory,
    engine,
    environment,
    migrated,
    pytest_generate_tests,
    secrets_manager,
    settings,
    valkey,
)
from tests.storefront.sql import Connection, SqlEngine, connect

__all__ = [
    "app",
    "certificates",
    "directory",
    "engine",
    "environment",
    "migrated",
    "pytest_generate_tests",
    "secrets_manager",
    "settings",
    "valkey",
]

_numbers = itertools.count()


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
    master.execute(insert, [login["username"], hash_password(login["password"], CHEAP)])
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
