"""What only a real server does: refuse, stall, be demoted, ask for a password."""

import os
import signal
import threading
from collections.abc import Callable

import pytest
import redis

from cache_aside import CacheAside, CacheUnavailableError, CommandRefusedError, Served
from cache_aside.redis_client import RedisClient
from local.engines import Valkey
from tests.cache_aside.backends import ValkeyBackend
from tests.cache_aside.conftest import AUTH_TOKEN, TEXT

pytestmark = pytest.mark.engines

Connect = Callable[[], redis.Redis]


def test_key_of_another_type_is_refused_without_giving_up_the_cache(valkey: ValkeyBackend, connect: Connect) -> None:
    with connect() as connection:
        connection.rpush("list", "item")
    cache = CacheAside(valkey.client, probe_interval_seconds=3600)
    assert cache.get_or_load("list", lambda: "value", policy=TEXT) == ("value", Served.BYPASS)
    assert cache.get_or_load("k", lambda: "value", policy=TEXT).served is Served.MISS


def test_server_that_became_a_replica_is_left(valkey: ValkeyBackend, connect: Connect) -> None:
    with connect() as connection:
        connection.replicaof("127.0.0.1", "1")
        try:
            with pytest.raises(CommandRefusedError):
                valkey.client.delete("k")
            clients = connection.info("clients")["connected_clients"]
        finally:
            connection.replicaof("NO", "ONE")
        valkey.client.delete("k")
        assert clients <= 2


def test_stalled_server_is_given_up_after_the_timeout(engine: Valkey, valkey: ValkeyBackend) -> None:
    credentials = redis.UsernamePasswordCredentialProvider(password=AUTH_TOKEN)
    impatient = RedisClient("localhost", engine.port, credentials=credentials, timeout_seconds=0.2)
    valkey.client.ping()
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        with pytest.raises(CacheUnavailableError):
            impatient.get("k")
    finally:
        os.kill(engine.pid, signal.SIGCONT)


@pytest.mark.parametrize("password", ["wrong", None])
def test_wrong_or_missing_password_is_unavailable(valkey: ValkeyBackend, engine: Valkey, password: str | None) -> None:
    credentials = redis.UsernamePasswordCredentialProvider(password=password) if password else None
    client = RedisClient("localhost", engine.port, credentials=credentials, timeout_seconds=5)
    with pytest.raises(CacheUnavailableError):
        client.get("k")


def test_certificate_of_another_authority_is_unavailable(
    valkey: ValkeyBackend, engine: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    client = RedisClient("localhost", engine.port, timeout_seconds=5)
    with pytest.raises(CacheUnavailableError, match="certificate"):
        client.get("k")


def test_certificate_for_another_name_is_unavailable(valkey: ValkeyBackend, engine: Valkey) -> None:
    client = RedisClient("127.0.0.2", engine.port, timeout_seconds=5)
    with pytest.raises(CacheUnavailableError, match=r"certificate|refused"):
        client.get("k")


def test_each_thread_has_its_own_connection(valkey: ValkeyBackend, connect: Connect) -> None:
    with connect() as connection:
        before = int(connection.info("stats")["total_connections_received"])
        barrier = threading.Barrier(3, timeout=30)

        def use() -> None:
            for _ in range(20):
                valkey.client.get("k")
                barrier.wait()

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = int(connection.info("stats")["total_connections_received"])
    assert after - before == 3
