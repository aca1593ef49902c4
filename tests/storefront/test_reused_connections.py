"""Connections that are used again: what happens when they are lost or old, counted on a server that a test controls."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cache_aside import Dialect
from storefront.database import ConnectionLostError, Database, DatabaseUnavailableError


class Server:
    """What its connections were told, in order, each with the number of its connection."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []
        self.connections: list[Session] = []

    def connect(self) -> "Session":
        self.connections.append(Session(self, len(self.connections) + 1))
        return self.connections[-1]


class Session:
    """A connection that breaks when it is told to."""

    dialect: Dialect = "postgresql"
    failed = False

    def __init__(self, server: Server, number: int) -> None:
        self._server, self._number = server, number
        self.breaks_with: DatabaseUnavailableError | None = None
        self._closed = False

    def change(self, statement: str, _parameters: object) -> int:
        self._server.heard.append((self._number, statement))
        if self.breaks_with:
            raise self.breaks_with
        return 1

    def rows(self, statement: str, parameters: object) -> list[tuple[Any, ...]]:
        self.change(statement, parameters)
        return [(1,)]

    insert = change

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        yield None

    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> list[float]:
    return [1_000.0]


@pytest.fixture
def database(server: Server, clock: list[float]) -> Database:
    return Database(server.connect, clock=lambda: clock[0])


def buy(database: Database) -> None:
    database.transact(lambda connection: connection.change("UPDATE", ()))


def test_a_transaction_whose_begin_finds_the_connection_lost_runs_once_on_another(
    database: Database, server: Server
) -> None:
    database.read("SELECT 1")
    server.connections[0].breaks_with = ConnectionLostError()
    buy(database)
    expected = [(1, "SELECT 1"), (1, "BEGIN"), (2, "BEGIN"), (2, "UPDATE"), (2, "COMMIT")]
    assert server.heard == expected
    assert server.connections[0].closed()


def test_a_new_connection_that_is_lost_at_once_is_not_replaced_again(database: Database, server: Server) -> None:
    connect = server.connect

    def broken() -> Session:
        session = connect()
        session.breaks_with = ConnectionLostError()
        return session

    with pytest.raises(ConnectionLostError):
        buy(Database(broken))
    assert server.heard == [(1, "BEGIN")]


def test_a_transaction_that_has_begun_is_not_repeated(database: Database, server: Server) -> None:
    database.read("SELECT 1")

    def work(connection: Any) -> None:
        connection.breaks_with = ConnectionLostError()
        connection.change("UPDATE", ())

    with pytest.raises(ConnectionLostError):
        database.transact(work)
    assert [statement for _, statement in server.heard].count("UPDATE") == 1
    assert len(server.connections) == 1


def test_a_begin_that_nobody_answers_in_time_is_not_repeated(database: Database, server: Server) -> None:
    database.read("SELECT 1")
    server.connections[0].breaks_with = DatabaseUnavailableError()
    with pytest.raises(DatabaseUnavailableError):
        buy(database)
    assert [statement for _, statement in server.heard].count("BEGIN") == 1


@pytest.mark.parametrize(("seconds", "connections"), [(180, 1), (181, 2), (3600, 2), (-3600, 1)])
def test_a_connection_that_was_idle_for_minutes_is_replaced_before_it_is_used(
    database: Database, server: Server, clock: list[float], seconds: float, connections: int
) -> None:
    database.write("UPDATE")
    clock[0] += seconds
    database.write("UPDATE")
    assert len(server.connections) == connections
    assert server.connections[0].closed() is (connections == 2)


def test_a_connection_in_use_stays(database: Database, server: Server, clock: list[float]) -> None:
    for _ in range(10):
        clock[0] += 100
        database.write("UPDATE")
    assert len(server.connections) == 1
