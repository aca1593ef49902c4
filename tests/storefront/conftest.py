"""The storefront over a real Valkey and a real PostgreSQL that the real migration has prepared."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from functions.schema_migration.handler import handler as migrate
from local.engines import Postgres, Valkey
from local.tls import Certificates, ensure_certificates
from storefront.bootstrap import build_app
from storefront.http.application import App
from storefront.settings import Settings
from tests.storefront.documented import assert_documented
from tests.storefront.fake_secrets_manager import FakeSecretsManager

AUTH_SECRET, MASTER_SECRET, OPERATOR_SECRET = "arn:auth", "arn:master", "arn:operator"
AUTH_TOKEN, MASTER_PASSWORD = "an-auth-token-of-these-tests", "a-master-password-of-these-tests"
OPERATOR = {"username": "operator", "password": "an operator's pässword"}


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


@pytest.fixture(scope="session")
def postgres(directory: Path, certificates: Certificates) -> Iterator[Postgres]:
    """The database."""
    engine = Postgres(
        directory / "postgres", master_password=MASTER_PASSWORD, database="storefront", certificates=certificates
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
        MASTER_SECRET: json.dumps({"username": "postgres", "password": MASTER_PASSWORD}),
        OPERATOR_SECRET: json.dumps(OPERATOR),
    }
    yield fake
    fake.close()


@pytest.fixture(scope="session", autouse=True)
def environment(
    certificates: Certificates, valkey: Valkey, postgres: Postgres, secrets_manager: FakeSecretsManager
) -> Iterator[None]:
    """What the deployment sets for both functions."""
    variables = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_ENDPOINT_URL": secrets_manager.url,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_SECRET_ACCESS_KEY": "test",
        "ELASTICACHE_AUTH_SECRET_ARN": AUTH_SECRET,
        "ELASTICACHE_ENDPOINT": valkey.endpoint,
        "OPERATOR_SECRET_ARN": OPERATOR_SECRET,
        "PGSSLROOTCERT": str(certificates.ca_file),
        "RDS_DB_NAME": "storefront",
        "RDS_ENDPOINT": postgres.endpoint,
        "RDS_MASTER_SECRET_ARN": MASTER_SECRET,
        "RDS_PASSWORD": "a-role-password",
        "RDS_USER": "storefront_app",
        "SSL_CERT_FILE": str(certificates.ca_file),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def migrated(environment: None) -> dict[str, Any]:
    """What the migration answered to the first deployment."""
    return migrate({"RequestType": "Create", "ResourceProperties": {"SampleData": "true"}}, None)


@pytest.fixture(scope="session")
def settings(migrated: dict[str, Any]) -> Settings:
    """The app's, but more patient with the cache, so that a busy machine fails no test."""
    return replace(Settings.from_environment(os.environ), cache_timeout_seconds=5)


@pytest.fixture(scope="session")
def app(settings: Settings) -> App:
    """The app, as a WSGI server runs it."""
    return build_app(settings)


@pytest.fixture
def client(app: App, valkey: Valkey, postgres: Postgres) -> Iterator[httpx.Client]:
    """Talks HTTP to the app. Every answer is held against the OpenAPI document. Both engines run again afterwards."""
    hooks = {"response": [assert_documented]}
    transport = httpx.WSGITransport(app=app)
    with httpx.Client(transport=transport, base_url="http://storefront", event_hooks=hooks) as connected:
        yield connected
    valkey.start()
    postgres.start()


@pytest.fixture(scope="session")
def token(app: App) -> str:
    """That of a session which no test ends."""
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as anonymous:
        return str(anonymous.post("/sessions", json=OPERATOR).json()["token"])


@pytest.fixture
def operator(client: httpx.Client, token: str) -> httpx.Client:
    """The client, logged in."""
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
def product(operator: httpx.Client) -> str:
    """The path of a new product of version 1, called Chair and for 19.90."""
    created = operator.post("/products", json={"name": "Chair", "price": 19.90})
    assert created.status_code == 201
    return created.headers["Location"]


@pytest.fixture
def master(postgres: Postgres, certificates: Certificates) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection of the master user, in autocommit mode."""
    with psycopg.connect(
        host="localhost",
        port=postgres.port,
        user="postgres",
        password=MASTER_PASSWORD,
        dbname="storefront",
        sslmode="verify-full",
        sslrootcert=str(certificates.ca_file),
        autocommit=True,
    ) as connection:
        yield connection
