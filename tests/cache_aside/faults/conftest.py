"""Clients of both flavours whose way to a real server can be broken."""

from collections.abc import Callable, Iterator

import pytest
import redis

from cache_aside import AsyncCacheAside, CacheAside, Options
from faults.proxy import FaultProxy
from local.engines import Valkey
from tests.cache_aside.conftest import tls_of
from tests.cache_aside.harness import Cache, OnLoop

Connect = Callable[..., Cache]


@pytest.fixture
def proxy(valkey: Valkey) -> Iterator[FaultProxy]:
    """The way to the server."""
    with FaultProxy(valkey.port) as made:
        yield made


@pytest.fixture
def operator(valkey: Valkey) -> Iterator[redis.Redis]:
    """Somebody with direct access to an empty server."""
    with redis.Redis(
        port=valkey.port, password=valkey.auth_token, ssl=True, ssl_ca_certs=str(valkey.certificates.ca_file)
    ) as client:
        client.flushall()
        yield client


@pytest.fixture(params=["sync", "async"])
def connect(
    request: pytest.FixtureRequest, valkey: Valkey, proxy: FaultProxy, operator: redis.Redis
) -> Iterator[Connect]:
    """Make clients of the proxied server, which is empty."""
    made: list[Cache] = []

    def make(**settings: object) -> Cache:
        chosen: dict[str, object] = {"auth_token": valkey.auth_token, "tls": tls_of(valkey)} | settings
        client = CacheAside if request.param == "sync" else AsyncCacheAside

        def build() -> CacheAside | AsyncCacheAside:
            return client.connect("localhost", proxy.port, **chosen)  # type: ignore[arg-type]

        made.append(build() if request.param == "sync" else OnLoop(build))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.close()


QUICK = Options(probe_interval_seconds=0.05, invalidation_seconds=0.6)
