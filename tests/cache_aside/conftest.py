"""Clients and servers for the tests of the package."""

import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from cache_aside import AsyncCacheAside, CacheAside, Options
from cache_aside.aio_link import AsyncLink
from cache_aside.breaker import Breaker
from cache_aside.connection import Server, Trust
from cache_aside.link import Link
from faults.fake_server import FakeServer
from local.engines import Valkey
from local.tls import ensure_certificates
from tests.cache_aside.harness import AsyncFakeTransport, Bench, Counted, CountedAsync, FakeTransport, OnLoop

AUTH_TOKEN = "a-token-of-the-tests-only"


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A real server behind TLS."""
    directory = tmp_path_factory.mktemp("valkey")
    engine = Valkey(directory, auth_token=AUTH_TOKEN, certificates=ensure_certificates(directory / "tls"))
    engine.start()
    yield engine
    engine.stop()


def tls_of(valkey: Valkey) -> ssl.SSLContext:
    """Trusts the authority of the local certificates and nobody else."""
    return ssl.create_default_context(cafile=str(valkey.certificates.ca_file))


def server_of(valkey: Valkey) -> Server:
    """How clients reach it, patiently as in `options`."""
    patient = Options(connect_timeout_seconds=5, read_timeout_seconds=5)
    return Server.of("localhost", valkey.port, valkey.auth_token, tls_of(valkey), patient)


@pytest.fixture
def options() -> Options:
    """Timeouts that a busy machine does not exceed; tests that need others override this."""
    return Options(connect_timeout_seconds=5, read_timeout_seconds=5, invalidation_seconds=5)


@pytest.fixture(
    params=[
        "sync-fake",
        "async-fake",
        pytest.param("sync-valkey", marks=pytest.mark.engines),
        pytest.param("async-valkey", marks=pytest.mark.engines),
    ]
)
def bench(request: pytest.FixtureRequest, options: Options) -> Iterator[Bench]:
    """Each client on each server."""
    flavour, _, kind = request.param.partition("-")
    make = _on_fake if kind == "fake" else _on_valkey
    made = make(flavour, options, request)
    yield made
    made.cache.close()


def _on_fake(flavour: str, options: Options, request: pytest.FixtureRequest) -> Bench:
    server = FakeServer(time.time)

    def command(*op: Any) -> Any:
        return server.put(op[1], op[2], *op[4:]) if op[0] == "SET" else server.execute(op)

    if flavour == "sync":
        counted = Counted(FakeTransport(server))
        return Bench(CacheAside(counted, options=options), counted, command)
    counted_async = CountedAsync(AsyncFakeTransport(server))
    return Bench(OnLoop(lambda: AsyncCacheAside(counted_async, options=options)), counted_async, command)


def _on_valkey(flavour: str, options: Options, request: pytest.FixtureRequest) -> Bench:
    valkey: Valkey = request.getfixturevalue("valkey")
    server = server_of(valkey)
    client = redis.Redis(
        port=valkey.port, password=AUTH_TOKEN, ssl=True, ssl_ca_certs=str(valkey.certificates.ca_file), protocol=2
    )
    client.flushall()
    request.addfinalizer(client.close)
    if flavour == "sync":
        counted = Counted(
            Link(
                server,
                breaker=Breaker(options.probe_interval_seconds, options.probe_timeout_seconds),
                trust=Trust(None),
            )
        )
        return Bench(CacheAside(counted, options=options), counted, client.execute_command)
    counted_async = CountedAsync(
        AsyncLink(
            server,
            breaker=Breaker(options.probe_interval_seconds, options.probe_timeout_seconds),
            trust=Trust(None),
            connections=options.connections,
        )
    )
    made = OnLoop(lambda: AsyncCacheAside(counted_async, options=options))
    return Bench(made, counted_async, client.execute_command)
