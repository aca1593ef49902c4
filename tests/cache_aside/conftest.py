"""Engines and caches for the suites of the cache_aside package."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from cache_aside import CacheAside, Policy
from cache_aside.redis_client import RedisClient
from local.engines import Valkey
from local.tls import ensure_certificates
from tests.cache_aside.backends import Backend, FakeBackend, ValkeyBackend

AUTH_TOKEN = "an-auth-token-of-these-tests"

TEXT = Policy(value_type=str, schema_version=1, ttl_seconds=100, negative_ttl_seconds=10)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A Valkey that asks for AUTH_TOKEN behind TLS."""
    directory: Path = tmp_path_factory.mktemp("valkey")
    started = Valkey(directory, auth_token=AUTH_TOKEN, certificates=ensure_certificates(directory / "tls"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def connect(engine: Valkey) -> Callable[[], redis.Redis]:
    """Opens a connection of an operator, beside those of the code under test."""
    ca_file = str(engine.certificates.ca_file)
    return lambda: redis.Redis(port=engine.port, password=AUTH_TOKEN, ssl=True, ssl_ca_certs=ca_file)


@pytest.fixture
def valkey(
    engine: Valkey, connect: Callable[[], redis.Redis], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ValkeyBackend]:
    """The real backend, empty. Its client waits longer than in production, so that a busy machine fails no test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(engine.certificates.ca_file))
    credentials = redis.UsernamePasswordCredentialProvider(password=AUTH_TOKEN)
    client = RedisClient("localhost", engine.port, credentials=credentials, timeout_seconds=5)
    engine.start()
    with connect() as connection:
        connection.flushall()
    yield ValkeyBackend(engine, client, connect)
    engine.start()


@pytest.fixture(params=["fake", pytest.param("valkey", marks=pytest.mark.engines)])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    if request.param == "fake":
        return FakeBackend()
    backend: Backend = request.getfixturevalue("valkey")
    return backend


@pytest.fixture
def cache(backend: Backend) -> CacheAside:
    """A cache that notices at its next use when the backend is back."""
    return CacheAside(backend.client, probe_interval_seconds=0)
