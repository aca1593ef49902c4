"""The rotation function over a real Valkey and a control plane on loopback; the app while credentials change."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.engines import Valkey
from local.tls import ensure_certificates
from tests.rotation.fake_aws import FakeAws
from tests.rotation.scene import FIRST_TOKEN, Scene
from tests.rotation.server_with_tokens import ServerWithTokens
from tests.storefront.conftest import (
    app,
    cache,
    certificates,
    client,
    directory,
    engine,
    environment,
    migrated,
    operator,
    product,
    secrets_manager,
    settings,
    token,
    valkey,
)

__all__ = [
    "app",
    "cache",
    "certificates",
    "client",
    "directory",
    "engine",
    "environment",
    "migrated",
    "operator",
    "product",
    "secrets_manager",
    "settings",
    "token",
    "valkey",
]

MakeScene = Callable[..., Scene]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerWithTokens]:
    """A real server behind TLS."""
    directory: Path = tmp_path_factory.mktemp("rotation")
    engine = Valkey(directory, auth_token=FIRST_TOKEN, certificates=ensure_certificates(directory / "tls"))
    engine.start()
    made = ServerWithTokens(engine)
    yield made
    made.close()
    engine.stop()


@pytest.fixture(scope="session")
def aws() -> Iterator[FakeAws]:
    """Secrets Manager and ElastiCache."""
    fake = FakeAws()
    yield fake
    fake.close()


@pytest.fixture
def make_scene(aws: FakeAws, server: ServerWithTokens, monkeypatch: pytest.MonkeyPatch) -> MakeScene:
    """Makes scenes, each of which begins anew. The app's tests have another environment in between."""
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    return lambda **options: Scene(aws, server, **options)


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    """A scene whose drain ends at once."""
    return make_scene()
