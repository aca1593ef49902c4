"""What only an event loop can do to a client: cancel it, and outrun its connections."""

import asyncio
from typing import Any

import pytest
import redis

from cache_aside import AsyncCacheAside, LoadTimeoutError, Options, Policy, Served
from faults.proxy import Fault, FaultProxy
from local.engines import Valkey
from tests.cache_aside.conftest import tls_of

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


def test_hit_that_no_connection_is_free_for_goes_past_the_cache_in_time_and_does_not_blame_it(
    valkey: Valkey,
) -> None:
    async def crowd(port: int) -> None:
        cache = connect(valkey, port, connections=1, read_timeout_seconds=0.5, probe_interval_seconds=1000)
        await read(cache, 1)
        slow.inject(Fault.SLOW)
        found = await asyncio.gather(*(read(cache, 1) for _ in range(50)))
        assert {value for value, _ in found} == {1}
        served = [how for _, how in found]
        assert 1 <= served.count(Served.HIT) <= 3, "one after the other, for half a second"
        slow.inject(Fault.NONE)
        assert await read(cache, 1) == (1, Served.HIT), "the circuit is closed"
        await cache.close()

    with FaultProxy(valkey.port, delays_seconds=(0.2, 0.2)) as slow:
        asyncio.run(crowd(slow.port))


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
