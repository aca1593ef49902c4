"""Two namespaces on one server: nobody reads or deletes the other one's keys."""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cache_aside import AsyncCacheAside, CacheAside, Policy, Relay, Served, SqlOutbox, transactions
from faults.fake_server import FakeServer
from tests.cache_aside.harness import AsyncFakeTransport, Cache, FakeTransport, OnLoop

TEXT = Policy(name="text", value_type=str, ttl_seconds=60, early_refresh_beta=0)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer(time.time)


@pytest.fixture(params=["sync", "async"])
def clients(request: pytest.FixtureRequest, server: FakeServer) -> Any:
    def client(namespace: str) -> Cache:
        if request.param == "sync":
            return CacheAside(FakeTransport(server), namespace=namespace)
        return OnLoop(lambda: AsyncCacheAside(AsyncFakeTransport(server), namespace=namespace))

    made = client("shop"), client("blog"), client("")
    yield made
    for each in made:
        each.close()


def never(*_: object) -> Any:
    raise AssertionError("a hit must not load")


def test_each_namespace_has_its_own_value_under_the_same_key(clients: tuple[Cache, ...], server: FakeServer) -> None:
    for client, value in zip(clients, ("shop", "blog", "none"), strict=True):
        assert client.get_or_load("a:1", str, value, policy=TEXT).served is Served.MISS
    for client, value in zip(clients, ("shop", "blog", "none"), strict=True):
        assert client.get_or_load("a:1", never, policy=TEXT).value == value
    assert all(server.peek(key) for key in ("shop:a:1", "blog:a:1", "a:1"))


def test_many_keys_are_loaded_and_returned_by_the_names_that_the_application_gave(
    clients: tuple[Cache, ...], server: FakeServer
) -> None:
    asked: list[Sequence[str]] = []

    def load(missing: Sequence[str]) -> Mapping[str, str]:
        asked.append(tuple(missing))
        return {key: f"value of {key}" for key in missing}

    shop = clients[0]
    shop.get_or_load("a:1", str, "first", policy=TEXT)
    results = shop.get_many_or_load((key for key in ("a:1", "a:2", "a:3")), load, policy=TEXT)
    assert {key: result.value for key, result in results.items()} == {
        "a:1": "first",
        "a:2": "value of a:2",
        "a:3": "value of a:3",
    }
    assert asked == [("a:2", "a:3")]
    assert server.peek("shop:a:2")


def test_deletion_is_of_ones_own_namespace_and_told_in_the_names_given(
    clients: tuple[Cache, ...], server: FakeServer
) -> None:
    shop, blog, _ = clients
    for client in clients:
        client.get_or_load("a:1", str, "old", policy=TEXT)
    outcome = shop.invalidate("a:1")
    assert (outcome.confirmed, outcome.keys) == (True, ("a:1",))
    assert shop.get_or_load("a:1", str, "new", policy=TEXT).value == "new"
    assert blog.get_or_load("a:1", never, policy=TEXT).value == "old"


def test_outbox_holds_the_applications_names_and_each_relay_deletes_in_its_namespace(server: FakeServer) -> None:
    database = sqlite3.connect(":memory:")
    shop, blog = (CacheAside(FakeTransport(server), namespace=name) for name in ("shop", "blog"))
    outbox = SqlOutbox(transactions(lambda: database), dialect="sqlite")
    for statement in outbox.schema():
        database.execute(statement)
    for client in (shop, blog):
        client.get_or_load("a:1", str, "old", policy=TEXT)
    rows = outbox.record(database, ["a:1"])
    database.commit()
    assert [row.key for row in rows] == ["a:1"]
    assert Relay(shop, outbox).run_once().delivered == 1
    assert (server.peek("shop:a:1"), server.peek("blog:a:1") is None) == (None, False)
    with outbox.transaction(database, blog) as write:
        write.invalidates("a:1")
    assert (write.outcome.keys, server.peek("blog:a:1")) == (("a:1",), None)
    database.close()


def test_decorated_function_keeps_to_the_namespace_of_its_client(server: FakeServer) -> None:
    shop = CacheAside(FakeTransport(server), namespace="shop")

    @shop.cached("name:{user}", policy=TEXT)
    def name_of(user: str) -> str | None:
        return user.title()

    assert name_of("ada") == "Ada"
    assert name_of.key("ada") == "name:ada"
    assert server.peek("shop:name:ada")
    assert name_of.invalidate("ada").confirmed
    assert server.peek("shop:name:ada") is None


def test_what_is_no_key_is_refused_in_a_namespace_as_well(clients: tuple[Cache, ...]) -> None:
    wrong: Any = 42
    with pytest.raises(TypeError, match="a key is a str such as 'product:42', not 42"):
        clients[0].get_or_load(wrong, never, policy=TEXT)
    with pytest.raises(TypeError, match="a key is a str"):
        clients[0].invalidate("a", wrong)
    with pytest.raises(TypeError, match="not the str 'a'"):
        clients[0].get_many_or_load("a", never, policy=TEXT)
