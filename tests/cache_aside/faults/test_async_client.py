"""What only an event loop can do to a client: cancel it, and outrun its connections."""

import asyncio
import time
from typing import Any

import anyio
import pytest
import redis

from cache_aside import AsyncCacheAside, LoadTimeoutError, Options, Policy, Served
from cache_aside.aio_link import AsyncLink
from cache_aside.breaker import Breaker
from faults.proxy import Fault, FaultProxy
from local.engines import Valkey
from tests.cache_aside.conftest import server_of, tls_of
from tests.cache_aside.harness import TrustOnce

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("operator")]
NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)


def connect(valkey: Valkey, port: int, connections: int = 16, **settings: Any) -> AsyncCacheAside:
    options = Options(connections=connections, **{"connect_timeout_seconds": 5, "read_timeout_seconds": 5} | settings)
    return AsyncCacheAside.connect("localhost", port, auth_token=valkey.auth_token, tls=tls_of(valkey), options=options)


async def read(cache: AsyncCacheAside, number: int, policy: Policy[int] = NUMBER) -> tuple[int | None, Served]:
    async def load() -> int:
        await asyncio.sleep(0)
        return number

    result = await cache.get_or_load(f"number:{number}", load, policy=policy)
    return result.value, result.served


def test_cancelled_reader_leaves_no_reply_for_the_next_one(valkey: Valkey, proxy: FaultProxy) -> None:
    async def cancel_and_read_on() -> None:
        cache = connect(valkey, proxy.port, connections=1)
        await read(cache, 1)
        proxy.inject(Fault.SLOW)
        reader = asyncio.create_task(read(cache, 1))
        await asyncio.sleep(0.1)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        proxy.inject(Fault.NONE)
        assert [await read(cache, number) for number in (2, 1)] == [(2, Served.MISS), (1, Served.HIT)]
        await cache.close()

    asyncio.run(cancel_and_read_on())


def test_cancelled_load_gives_its_lease_back(valkey: Valkey) -> None:
    async def cancel_and_load_again() -> None:
        cache = connect(valkey, valkey.port)

        async def endless() -> int:
            await asyncio.sleep(60)
            return 0

        loader = asyncio.create_task(cache.get_or_load("number:3", endless, policy=NUMBER))
        await asyncio.sleep(0.1)
        loader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loader
        assert await read(cache, 3) == (3, Served.MISS)
        await cache.close()

    asyncio.run(cancel_and_load_again())


def test_load_is_cancelled_at_its_hard_timeout(valkey: Valkey) -> None:
    impatient = Policy(name="impatient", value_type=int, ttl_seconds=60, load_timeout_seconds=0.05)

    async def time_out() -> None:
        cache, ended = connect(valkey, valkey.port), asyncio.Event()

        async def endless() -> int:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
            return 0

        with pytest.raises(LoadTimeoutError):
            await cache.get_or_load("number:4", endless, policy=impatient)
        assert ended.is_set()
        await cache.close()

    asyncio.run(time_out())


def test_many_tasks_share_few_connections(valkey: Valkey, proxy: FaultProxy) -> None:
    async def crowd() -> None:
        cache = connect(valkey, proxy.port, connections=4)
        found = await asyncio.gather(*(read(cache, number) for number in range(100, 200)))
        assert [value for value, _ in found] == list(range(100, 200))
        assert proxy.accepted <= 4
        await cache.close()

    asyncio.run(crowd())


@pytest.mark.parametrize("keys", [1, 100])
def test_readers_that_no_connection_is_free_for_share_round_trips_and_do_not_blame_the_cache(
    valkey: Valkey, keys: int
) -> None:
    async def crowd(port: int) -> None:
        cache = connect(valkey, port, connections=1, read_timeout_seconds=2)
        await read(cache, 0)
        slow.inject(Fault.SLOW)
        cold = await asyncio.gather(*(read(cache, number) for number in range(1, keys + 1)))
        assert [served for _, served in cold] == [Served.MISS] * keys
        warm = await asyncio.gather(*(read(cache, number % keys + 1) for number in range(100)))
        assert [served for _, served in warm] == [Served.HIT] * 100
        await cache.close()

    with FaultProxy(valkey.port, delays_seconds=(0.1, 0.1)) as slow:
        asyncio.run(crowd(slow.port))
        assert slow.accepted == 1, "nobody has doubted it, nor dropped the connection"


def test_reader_that_leaves_while_it_shares_a_round_trip_gives_its_lease_back(valkey: Valkey) -> None:
    async def leave(port: int) -> None:
        cache = connect(valkey, port, connections=1)
        await read(cache, 0)
        slow.inject(Fault.SLOW)
        readers = [asyncio.create_task(read(cache, number)) for number in range(1, 6)]
        await asyncio.sleep(0.25)  # their bids are under way
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        slow.inject(Fault.NONE)
        assert {(await read(cache, number))[1] for number in range(1, 6)} <= {Served.MISS, Served.HIT}
        await cache.close()

    with FaultProxy(valkey.port, delays_seconds=(0.1, 0.1)) as slow:
        asyncio.run(leave(slow.port))


def test_readers_that_are_cancelled_again_and_again_give_their_leases_back(valkey: Valkey) -> None:
    async def leave() -> None:
        cache, begun = connect(valkey, valkey.port, connections=2), []

        async def endless(number: int) -> int:
            begun.append(number)
            await asyncio.sleep(60)
            return number

        async with anyio.create_task_group() as group:
            for number in range(1, 6):
                group.start_soon(lambda n: cache.get_or_load(f"number:{n}", endless, n, policy=NUMBER), number)
            while len(begun) < 5:
                await asyncio.sleep(0.01)
            group.cancel_scope.cancel()
        assert [(await read(cache, number))[1] for number in range(1, 6)] == [Served.MISS] * 5
        await cache.close()

    asyncio.run(leave())


def test_lease_from_a_server_that_is_no_longer_trusted_is_given_back(valkey: Valkey) -> None:
    closed = Policy(name="closed", value_type=int, ttl_seconds=60, early_refresh_beta=0, fail_closed=True)

    async def fail_over() -> None:
        link = AsyncLink(server_of(valkey), breaker=Breaker(), trust=TrustOnce(), connections=2)
        suspicious, cache = AsyncCacheAside(link), connect(valkey, valkey.port)
        assert await read(suspicious, 1, closed) == (1, Served.BYPASS)
        assert await read(cache, 1) == (1, Served.MISS)
        await suspicious.close()
        await cache.close()

    asyncio.run(fail_over())


def test_reply_that_arrived_while_the_loop_was_busy_is_not_taken_for_a_late_one(valkey: Valkey) -> None:
    async def keep_busy() -> None:
        cache = connect(valkey, valkey.port, read_timeout_seconds=0.5)
        await read(cache, 1)
        reader = asyncio.create_task(read(cache, 1))
        await asyncio.sleep(0)  # its question is on its way
        time.sleep(0.8)  # what other tasks must not do, and do
        assert await reader == (1, Served.HIT)
        await cache.close()

    asyncio.run(keep_busy())


def test_burst_of_deletions_shares_round_trips_and_is_confirmed(valkey: Valkey) -> None:
    async def crowd(port: int) -> None:
        cache = connect(valkey, port, connections=4)
        await cache.invalidate("number:0")
        slow.inject(Fault.SLOW)
        outcomes = await asyncio.gather(*(cache.invalidate(f"number:{number}") for number in range(500)))
        assert [outcome.reason for outcome in outcomes if outcome.pending] == []
        await cache.close()

    with FaultProxy(valkey.port, delays_seconds=(0.01, 0.01)) as slow:
        asyncio.run(crowd(slow.port))
        assert slow.accepted == 1


def test_deletion_whose_caller_has_left_is_carried_out(valkey: Valkey, operator: redis.Redis) -> None:
    async def leave(port: int) -> None:
        cache = connect(valkey, port)
        await read(cache, 1)
        slow.inject(Fault.SLOW)
        writer = asyncio.create_task(cache.invalidate("number:1"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer
        while operator.exists("number:1"):
            await asyncio.sleep(0.01)
        slow.inject(Fault.NONE)
        assert (await cache.invalidate("number:1")).confirmed
        await cache.close()

    with FaultProxy(valkey.port, delays_seconds=(0.2, 0.2)) as slow:
        asyncio.run(leave(slow.port))
