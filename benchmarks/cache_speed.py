"""Hit, miss and batch of every library in interleaved rounds, and hits over threads and keys."""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import redis

from benchmarks.cache_contenders import (
    ASYNC,
    POLICY,
    PRODUCT,
    SYNC,
    Address,
    OurAsync,
    OurSync,
    Product,
    RedisAsync,
    RedisPy,
    encode,
)

BATCH = [f"batch:{number}" for number in range(50)]


class Timing(msgspec.Struct):
    """Microseconds, and the median over rounds of the ratio to the floor in the same round."""

    p50: float
    p99: float
    ratio: float = 0.0
    deleted: float = 0.0
    """The share of reads right after a DEL that were answered with what it had deleted."""


async def _loaded() -> Any:
    return PRODUCT


class Subject:
    """One library, with the state that each measurement needs."""

    def __init__(self, name: str, address: Address, loop: asyncio.AbstractEventLoop, operator: redis.Redis) -> None:
        self.name, self._loop, self._operator = name, loop, operator
        self.misses = self.loads = 0
        self._key, self._batch = f"{name}:hit", [f"{name}:{key}" for key in BATCH]
        self._sync = SYNC[name](address) if name in SYNC else None
        self._async: Any = None if name in SYNC else loop.run_until_complete(self._make(name, address))
        self.measure("hit", 1)
        for key in self._batch:
            self._fill(key)
        self.misses = self.loads = 0

    async def _make(self, name: str, address: Address) -> Any:
        return ASYNC[name](address)

    def _fill(self, key: str) -> None:
        if self._sync is not None:
            self._sync.get(key, lambda: PRODUCT)
        else:
            self._loop.run_until_complete(self._async.get(key, _loaded))

    def measure(self, what: str, times: int) -> list[float]:
        """Seconds of each call."""
        if self._sync is None:
            found: list[float] = self._loop.run_until_complete(self._measure_async(what, times))
            return found
        key = f"{self.name}:miss" if what == "miss" else self._key
        found = []
        for _ in range(times):
            if what == "miss":
                self._operator.delete(key)
                self.misses += 1
            begin = time.perf_counter()
            if what == "batch":
                self._sync.get_many(self._batch)
            else:
                self._sync.get(key, self._load)
            found.append(time.perf_counter() - begin)
        return found

    def _load(self) -> Product:
        self.loads += 1
        return PRODUCT

    async def _measure_async(self, what: str, times: int) -> list[float]:
        key = f"{self.name}:miss" if what == "miss" else self._key
        found = []
        for _ in range(times):
            if what == "miss":
                self._operator.delete(key)
            begin = time.perf_counter()
            if what == "batch":
                await self._async.get_many(self._batch)
            else:
                await self._async.get(key, _loaded)
            found.append(time.perf_counter() - begin)
        return found


def side_by_side(address: Address, what: str, *, rounds: int, times: int) -> dict[str, Timing]:
    """Every library in each round; sync ones are compared with redis-py, async ones with redis.asyncio."""
    loop = asyncio.new_event_loop()
    with redis.Redis(**address.options) as operator:
        subjects = [Subject(name, address, loop, operator) for name in (*SYNC, *ASYNC)]
        seconds: dict[str, list[list[float]]] = {subject.name: [] for subject in subjects}
        for number in range(rounds + 1):
            for subject in subjects:
                measured = subject.measure(what, times)
                if number:  # the first round warms up
                    seconds[subject.name].append(measured)
    made = {name: _timing(found, seconds[_floor(name)]) for name, found in seconds.items()}
    for subject in subjects:
        made[subject.name].deleted = 1 - subject.loads / subject.misses if subject.misses else 0.0
    return made


def _floor(name: str) -> str:
    return "redis-py" if name in SYNC else "redis.asyncio"


def _timing(rounds: list[list[float]], floor: list[list[float]]) -> Timing:
    ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(rounds, floor, strict=True)]
    every = sorted(second for found in rounds for second in found)
    return Timing(statistics.median(every) * 1e6, every[int(len(every) * 0.99)] * 1e6, statistics.median(ratios))


def over_threads(address: Address, counts: list[int], *, times: int) -> Iterator[tuple[int, float, float, float]]:
    """Threads, hits a second of redis-py and of cache_aside, and the ratio of their median latencies."""
    for count in counts:
        rounds = [(_hits(RedisPy(address), count, times), _hits(OurSync(address), count, times)) for _ in range(5)]
        floor, ours = ([pair[index] for pair in rounds] for index in (0, 1))
        ratio = statistics.median(b[1] / a[1] for a, b in rounds)
        yield count, statistics.median(r[0] for r in floor), statistics.median(r[0] for r in ours), ratio


def _hits(contender: Any, count: int, times: int) -> tuple[float, float]:
    """Hits a second, and the median latency."""
    barrier, found, key = threading.Barrier(count + 1), list[float](), type(contender).__name__

    def read() -> None:
        contender.get(key, lambda: PRODUCT)
        barrier.wait()
        for _ in range(times):
            begin = time.perf_counter()
            contender.get(key, lambda: PRODUCT)
            found.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=read) for _ in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return count * times / (time.perf_counter() - begin), statistics.median(found)


def over_tasks(address: Address, count: int, *, times: int) -> float:
    """The ratio of cache_aside's time to redis.asyncio's for the hits of so many tasks at once."""

    async def read(contender: Any) -> float:
        async def one() -> None:
            for _ in range(times):
                await contender.get(type(contender).__name__, _loaded)

        await contender.get(type(contender).__name__, _loaded)
        begin = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(count)))
        return time.perf_counter() - begin

    async def rounds() -> float:
        floor, ours = RedisAsync(address), OurAsync(address)
        for contender in (floor, ours):
            await read(contender)  # opens the connections
        found = [(await read(floor), await read(ours)) for _ in range(7)]
        return statistics.median(mine / theirs for theirs, mine in found)

    return asyncio.run(rounds())


def over_keys(address: Address, counts: list[int], *, times: int) -> Iterator[tuple[int, float, float]]:
    """Keys in the cache, and the median hit of redis-py and of cache_aside over them, in microseconds."""
    raw, done = encode(PRODUCT), 0
    floor, ours = RedisPy(address), OurSync(address)
    with redis.Redis(**address.options) as operator:
        for count in counts:
            while done < count:
                step = min(count, done + 10_000)
                operator.mset({f"raw:{number}": raw for number in range(done, step)})
                operator.mset({f"key:{number}": _envelope(f"key:{number}") for number in range(done, step)})
                done = step
            numbers = [number * 7919 % count for number in range(times)]
            yield (
                count,
                _median(lambda number: floor.get(f"raw:{number}", lambda: PRODUCT), numbers),
                _median(lambda number: ours.get(f"key:{number}", lambda: PRODUCT), numbers),
            )


def _envelope(key: str) -> bytes:
    return POLICY.codec.encode(key, PRODUCT, expires=time.time() + 3600, load_seconds=0.01)


def _median(read: Callable[[int], object], numbers: list[int]) -> float:
    found = []
    for number in numbers:
        begin = time.perf_counter()
        read(number)
        found.append(time.perf_counter() - begin)
    return statistics.median(found) * 1e6
