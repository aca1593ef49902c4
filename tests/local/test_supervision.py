"""The supervisor makes the engines of this machine those that the emulator asks for."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local.engine_requests import EngineRequest, withdraw
from local.processes import free_port
from local.supervision import EngineSupervisor
from local.tls import Certificates

pytestmark = pytest.mark.engines


class Supervised:
    """A supervisor with what it said."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.supervisor = EngineSupervisor(directory, certificates=certificates, say=self.said.append)
        self.request = EngineRequest("cache", "1", "valkey", free_port(), "the-token-of-this-test")
        self.certificates = certificates

    def pids(self) -> dict[str, int]:
        return dict(self.supervisor.processes())

    def reconcile_until(self, line: str) -> None:
        """Reconciles as `make up` does until the line was said."""
        deadline = time.monotonic() + 30
        while not any(line in said for said in self.said):
            assert time.monotonic() < deadline, self.said
            self.supervisor.reconcile()
            time.sleep(0.05)

    def ping(self) -> None:
        self.request.engine(self.directory, self.certificates).ping()


@pytest.fixture
def supervised(home: Path, certificates: Certificates) -> Iterator[Supervised]:
    supervised = Supervised(home, certificates)
    supervised.request.write(home)
    supervised.reconcile_until("valkey answers")
    yield supervised
    supervised.supervisor.stop()


def test_killed_engine_is_started_again(supervised: Supervised) -> None:
    psutil.Process(supervised.pids()["valkey"]).kill()
    supervised.reconcile_until("starting it again in 2 seconds")
    supervised.reconcile_until("valkey is back")
    supervised.ping()


def test_killed_tls_front_is_started_again(supervised: Supervised) -> None:
    engine = supervised.pids()["valkey"]
    psutil.Process(supervised.pids()["valkey-tls"]).kill()
    supervised.reconcile_until("valkey-tls ended")
    supervised.reconcile_until("valkey is back")
    assert supervised.pids()["valkey"] == engine
    supervised.ping()


def test_withdrawn_engine_ends_with_its_data(supervised: Supervised) -> None:
    engine = supervised.pids()["valkey"]
    withdraw(supervised.directory, "cache")
    supervised.supervisor.reconcile()
    assert not psutil.pid_exists(engine)
    assert list(supervised.directory.iterdir()) == []


def test_replaced_engine_takes_the_place_of_its_predecessor(supervised: Supervised) -> None:
    supervised.request = replace(supervised.request, incarnation="2", port=free_port())
    supervised.request.write(supervised.directory)
    supervised.supervisor.reconcile()
    supervised.ping()
    assert [path.name for path in supervised.directory.iterdir() if path.is_dir()] == ["cache.2"]


def test_changed_token_is_asked_for(supervised: Supervised) -> None:
    supervised.request = replace(supervised.request, password="another-token-of-this-test")
    supervised.request.write(supervised.directory)
    supervised.supervisor.reconcile()
    supervised.ping()


def test_nobody_else_can_read_a_request(supervised: Supervised) -> None:
    (request,) = supervised.directory.glob("*.json")
    assert request.stat().st_mode & 0o077 == 0


def test_engine_that_cannot_start_is_named_once_and_tried_again(home: Path, certificates: Certificates) -> None:
    first = Supervised(home / "first", certificates)
    first.request.write(first.directory)
    first.reconcile_until("valkey answers")
    second = Supervised(home / "second", certificates)
    second.request = replace(second.request, port=first.request.port, password="another-token-of-this-test")
    second.request.write(second.directory)
    second.reconcile_until("trying again every 2 seconds")
    first.supervisor.stop()
    second.reconcile_until("valkey answers")
    second.supervisor.stop()
    assert len(second.said) == 2


@pytest.mark.only_on("mysql")
def test_killed_engine_without_a_front_is_started_again(home: Path, certificates: Certificates) -> None:
    supervised = Supervised(home, certificates)
    supervised.request = EngineRequest("database", "1", "mariadb", free_port(), "a-password", "admin", "shop")
    supervised.request.write(home)
    try:
        supervised.reconcile_until("mariadb answers")
        assert list(supervised.pids()) == ["mariadb"]
        psutil.Process(supervised.pids()["mariadb"]).kill()
        supervised.reconcile_until("mariadb is back")
        supervised.ping()
    finally:
        supervised.supervisor.stop()
