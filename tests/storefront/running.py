"""The fixtures of a deployment: a Valkey, a database that the real migration has prepared, and the app on both."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication

import pytest

from functions.schema_migration import access
from local.engines import Postgres, Valkey
from local.tls import Certificates, ensure_certificates
from storefront.bootstrap import build_app
from storefront.passwords import hash_password
from storefront.settings import Settings
from tests.sql_engines import KINDS, SQL_ENGINES
from tests.storefront.deployment import (
    AUTH_SECRET,
    AUTH_TOKEN,
    MASTER_SECRET,
    OPERATOR,
    OPERATOR_SECRET,
    migrate,
    variables,
)
from tests.storefront.fake_secrets_manager import FakeSecretsManager
from tests.storefront.sql import MASTER, MASTER_PASSWORD, SqlEngine

CHEAP = 1
"""The cost of a password hash, as an exponent of two: what production pays would be half of the tests' time."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On which engines a test runs that uses one."""
    if "engine" in metafunc.fixturenames:
        marked = any(metafunc.definition.get_closest_marker(name) for name in ("every_engine", "only_on"))
        metafunc.parametrize("engine", SQL_ENGINES if marked else SQL_ENGINES[:1], indirect=True, scope="session")


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
def engine(request: pytest.FixtureRequest, directory: Path, certificates: Certificates) -> Iterator[SqlEngine]:
    """The database: PostgreSQL, where `pytest_generate_tests` does not say otherwise."""
    name = getattr(request, "param", "postgres")
    engine = KINDS[name](
        directory / name,
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
        patch.setattr(access, "hash_password", partial(hash_password, log2_cost=CHEAP))
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
    """The app's, but more patient with the cache, so that a busy machine fails no test; and with cheap passwords."""
    return replace(Settings.from_environment(os.environ), cache_timeout_seconds=5, password_log2_cost=CHEAP)


@pytest.fixture(scope="session")
def app(settings: Settings) -> WSGIApplication:
    """The app, as a WSGI server runs it."""
    return build_app(settings)
