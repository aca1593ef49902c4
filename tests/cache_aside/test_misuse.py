"""Mistakes of newcomers are refused at once, in words that say what to write, and nothing is done by halves."""

import asyncio
import functools
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cache_aside import AsyncCacheAside, CacheAside, Policy, Relay, Served, SqlOutbox, transactions
from cache_aside.connection import Trust
from cache_aside.credentials import Credentials
from faults.fake_server import FakeServer
from tests.cache_aside.harness import AsyncFakeTransport, Bench, FakeTransport

NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)
NO_KEYS: list[Any] = [["a", "b"], ("a", "b"), {"a"}, b"a", None, 1.5, 42]
LONGEST = "k" * 65_535
TOO_LONG = ["k" * 65_536, "ü" * 32_768]


def never(*_: object) -> Any:
    raise AssertionError("nothing is loaded for what is no key")


@pytest.fixture
def cache() -> CacheAside:
    return CacheAside(FakeTransport(FakeServer(time.time)))


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:")
    made.execute("CREATE TABLE product (price integer)")
    for statement in SqlOutbox(transactions(lambda: made), dialect="sqlite").schema():
        made.execute(statement)
    made.commit()
    yield made
    made.close()


@pytest.fixture
def outbox(database: sqlite3.Connection) -> SqlOutbox:
    return SqlOutbox(transactions(lambda: database), dialect="sqlite")


def rows(database: sqlite3.Connection) -> tuple[int, int]:
    """How many prices were committed, and how many keys recorded."""
    database.rollback()
    (prices,) = database.execute("SELECT count(*) FROM product").fetchone()
    (keys,) = database.execute("SELECT count(*) FROM cache_invalidations").fetchone()
    return prices, keys


@pytest.mark.parametrize("key", NO_KEYS, ids=repr)
def test_what_is_no_str_is_refused_as_a_key_and_nothing_is_sent(bench: Bench, key: Any) -> None:
    bench.cache.get_or_load("a", lambda: 1, policy=NUMBER)
    trips, before = bench.transport.trips, bench.command("GET", "a")
    with pytest.raises(TypeError, match=r"a key is a str such as 'product:42', not .*invalidate\(\*keys\)"):
        bench.cache.invalidate("a", key)
    with pytest.raises(TypeError, match="a key is a str"):
        bench.cache.get_or_load(key, never, policy=NUMBER)
    with pytest.raises(TypeError, match="a key is a str"):
        bench.cache.get_many_or_load(["b", key], never, policy=NUMBER)
    assert bench.command("GET", "a") == before, "nothing is deleted"
    assert bench.transport.trips == trips


def test_one_str_in_place_of_many_keys_is_refused(bench: Bench, outbox: SqlOutbox, database: Any) -> None:
    with pytest.raises(TypeError, match=r"a list such as \['product:42'\], not the str 'product:7'"):
        bench.cache.get_many_or_load("product:7", never, policy=NUMBER)
    with pytest.raises(TypeError, match="not the str 'product:7'"):
        outbox.record(database, "product:7")


@pytest.mark.parametrize("key", TOO_LONG, ids=["ASCII", "UTF-8"])
def test_key_that_an_envelope_cannot_name_is_refused_before_the_load(bench: Bench, key: str) -> None:
    with pytest.raises(ValueError, match="65,535 bytes at most, such as 'product:42'; this one has 65,536"):
        bench.cache.get_or_load(key, never, policy=NUMBER)
    with pytest.raises(ValueError, match="65,535"):
        bench.cache.get_many_or_load(["a", key], never, policy=NUMBER)
    with pytest.raises(ValueError, match="65,535"):
        bench.cache.invalidate("a", key)
    assert bench.transport.trips == 0


def test_longest_key_is_cached_and_invalidated(bench: Bench) -> None:
    roomy = Policy(name="roomy", value_type=int, ttl_seconds=60, early_refresh_beta=0, max_bytes=100_000)
    bench.cache.get_or_load(LONGEST, lambda: 1, policy=roomy)
    assert bench.cache.get_or_load(LONGEST, never, policy=roomy).value == 1
    assert bench.cache.invalidate(LONGEST).confirmed
    assert bench.cache.get_or_load(LONGEST, lambda: 2, policy=roomy).value == 2


@pytest.mark.parametrize("key", [*NO_KEYS, *TOO_LONG], ids=lambda key: repr(key)[:12])
def test_write_that_names_no_key_is_undone(
    outbox: SqlOutbox, database: sqlite3.Connection, cache: CacheAside, key: Any
) -> None:
    with pytest.raises((TypeError, ValueError), match="a key "), outbox.transaction(database, cache) as write:  # noqa: PT012
        database.execute("INSERT INTO product VALUES (1)")
        write.invalidates("a", key)
    with pytest.raises((TypeError, ValueError), match="a key "):
        outbox.record(database, ["a", key])
    assert rows(database) == (0, 0)


def test_async_client_is_refused_before_the_block_and_nothing_is_written(
    outbox: SqlOutbox, database: sqlite3.Connection
) -> None:
    client: Any = AsyncCacheAside(AsyncFakeTransport(FakeServer(time.time)))
    refused = pytest.raises(TypeError, match=r"not AsyncCacheAside: .*`record`.*`await deliver_async")
    with refused, outbox.transaction(database, client) as write:
        database.execute("INSERT INTO product VALUES (1)")
        write.invalidates("a")
    assert rows(database) == (0, 0)


def test_block_inside_another_one_is_refused_and_commits_nothing_of_it(
    outbox: SqlOutbox, database: sqlite3.Connection, cache: CacheAside
) -> None:
    another = SqlOutbox(transactions(lambda: database), dialect="sqlite")
    for inner in (outbox, another):
        with pytest.raises(RuntimeError, match="already"), outbox.transaction(database, cache):  # noqa: PT012
            database.execute("INSERT INTO product VALUES (1)")
            with inner.transaction(database, cache) as write:
                write.invalidates("b")
        assert rows(database) == (0, 0)
    with outbox.transaction(database, cache) as write:
        database.execute("INSERT INTO product VALUES (1)")
        write.invalidates("a")
    assert (write.outcome.confirmed, rows(database)) == (True, (1, 1))


def test_outcome_of_a_write_is_there_after_its_block(
    outbox: SqlOutbox, database: sqlite3.Connection, cache: CacheAside
) -> None:
    with outbox.transaction(database, cache) as write:
        write.invalidates("a")
        with pytest.raises(RuntimeError, match="read `outcome` after its block"):
            _ = write.outcome
    assert write.outcome.keys == ("a",)


async def coroutine(*_: object) -> Any:
    return 1


def test_asynchronous_loader_is_refused_by_the_synchronous_client() -> None:
    cache: Any = CacheAside(FakeTransport(FakeServer(time.time)))
    with pytest.raises(TypeError, match="plain function; for `async def` use AsyncCacheAside"):
        cache.get_or_load("a", coroutine, policy=NUMBER)
    with pytest.raises(TypeError, match="plain function"):
        cache.get_many_or_load(["a"], coroutine, policy=NUMBER)
    assert cache.get_or_load("a", lambda: 1, policy=NUMBER).served is Served.MISS, "no lease is left"


def test_synchronous_loader_is_refused_by_the_asynchronous_client() -> None:
    async def read() -> None:
        client: Any = AsyncCacheAside(AsyncFakeTransport(FakeServer(time.time)))
        with pytest.raises(TypeError, match=r"an `async def`; for a plain function use asyncio\.to_thread"):
            await client.get_or_load("a", lambda: 1, policy=NUMBER)
        with pytest.raises(TypeError, match="an `async def`"):
            await client.get_many_or_load(["a"], dict.fromkeys, policy=NUMBER)
        assert (await client.get_or_load("a", coroutine, policy=NUMBER)).served is Served.MISS, "no lease is left"

    asyncio.run(read())


def test_loader_of_many_keys_returns_a_mapping(bench: Bench) -> None:
    wrong: Any = lambda missing: [1] * len(missing)  # noqa: E731
    with pytest.raises(TypeError, match=r"must return a dict such as \{'product:42': value\}, not list"):
        bench.cache.get_many_or_load(["a"], wrong, policy=NUMBER)


def test_async_client_is_refused_by_relay_and_deliver(outbox: SqlOutbox, database: sqlite3.Connection) -> None:
    client: Any = AsyncCacheAside(AsyncFakeTransport(FakeServer(time.time)))
    with pytest.raises(TypeError, match="a Relay needs a CacheAside, not AsyncCacheAside"):
        Relay(client, outbox)
    with pytest.raises(TypeError, match=r"deliver\(\) needs a CacheAside, not AsyncCacheAside: `await deliver_async"):
        outbox.deliver(client, outbox.record(database, ["a"]))


def test_synchronous_client_is_refused_by_deliver_async(outbox: SqlOutbox, cache: CacheAside) -> None:
    wrong: Any = cache
    with pytest.raises(TypeError, match=r"needs an AsyncCacheAside, not CacheAside: call deliver\(\)"):
        asyncio.run(outbox.deliver_async(wrong, []))


async def later(*_: object) -> Any:
    raise AssertionError("nobody awaits it")


class Later:
    async def __call__(self, *_: object) -> Any:
        raise AssertionError("nobody awaits it")


KINDS = ["coroutine function", "asynchronous object", "partial of a coroutine function", "bool", "str"]


@pytest.mark.parametrize("client", [CacheAside, AsyncCacheAside])
@pytest.mark.parametrize("given", [later, Later(), functools.partial(later, 1), True, "x"], ids=KINDS)
def test_what_is_no_plain_function_is_refused_as_is_replayed_for_it_would_always_mean_yes(
    client: Any, given: Any
) -> None:
    with pytest.raises(TypeError, match=r"is_replayed must be a plain function .* such as outbox\.is_replayed"):
        client.connect("localhost", is_replayed=given)


@pytest.mark.parametrize("answer", ["no", 1, [0]], ids=repr)
def test_server_is_trusted_only_when_is_replayed_says_true(answer: Any) -> None:
    assert Trust(lambda _: answer).ask(f"history {answer}") is False
    assert Trust(lambda _: True).ask("a") is True


@pytest.mark.parametrize("client", [CacheAside, AsyncCacheAside])
def test_token_reader_that_nobody_would_await_is_refused(client: Any) -> None:
    read: Any = later
    with pytest.raises(TypeError, match="a function that returns one, Credentials or None, not a coroutine function"):
        client.connect("localhost", auth_token=read)
    with pytest.raises(TypeError, match="read must be a plain function"):
        Credentials(read)
