"""What readers lose, and the database and the cache have to bear, while something is degraded: ratios and counts.

`make bench-cache` puts a line for each into docs/benchmarks.
"""

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median

import redis

from benchmarks.cache_contenders import Address
from cache_aside import CacheAside, Options, Policy, TooManyLoadsError
from local.processes import free_port

HOT = Policy(name="hot", value_type=int, ttl_seconds=60, early_refresh_beta=0)
PATIENT = Options(connect_timeout_seconds=10, read_timeout_seconds=10)
PAGE = [f"page:{number}" for number in range(50)]
_START_AFTER_SECONDS = 3.0


def outage(seconds: float = 4.0, readers: int = 200, load_seconds: float = 0.1) -> str:
    """The cache refuses connections, and one key is hot."""
    cache = CacheAside.connect("127.0.0.1", free_port(), tls=False)
    counts = {"loads": 0, "reads": 0, "errors": 0}
    ends = time.monotonic() + seconds

    def load(value: int) -> int:
        counts["loads"] += 1
        time.sleep(load_seconds)
        return value

    def read() -> None:
        while time.monotonic() < ends:
            try:
                cache.get_or_load("hot", load, 1, policy=HOT)
                counts["reads"] += 1
            except TooManyLoadsError:
                counts["errors"] += 1

    _together(read, readers)
    most = seconds / load_seconds + 2
    return (
        f"cache down, {readers} readers of one key, load {load_seconds * 1000:.0f} ms, {seconds:.0f} s: "
        f"{counts['loads']} loads (at most {most:.0f}), {counts['errors']} errors, {counts['reads']} reads"
    )


def uncached(address: Address, processes: int = 150, load_seconds: float = 0.05) -> str:
    """Many processes read a value that does not exist, and whose absence is not cached."""
    waits = _in_processes("uncached", address, processes, load_seconds)
    return (
        f"absent value, {processes} processes, load {load_seconds * 1000:.0f} ms: "
        f"p50 {median(waits) / load_seconds:.1f} load times, worst {max(waits) / load_seconds:.1f}"
    )


def cold_page(address: Address, processes: int = 40, load_seconds: float = 2.0) -> str:
    """Many processes read one cold page at once; what the cache has to do while they wait for the one that loads."""
    with redis.Redis(**address.options) as operator:
        operator.flushall()
        samples: list[tuple[float, int]] = []
        over = threading.Event()

        def sample() -> None:
            while not over.wait(0.05):
                info = operator.info("stats")
                looked = info["keyspace_hits"] + info["keyspace_misses"]
                samples.append((time.monotonic(), info["total_commands_processed"] + looked))

        watcher = threading.Thread(target=sample)
        watcher.start()
        waits = _in_processes("page", address, processes, load_seconds)
        over.set()
        watcher.join()
    ends = samples[-1][0]
    waiting = [(at, count) for at, count in samples if ends - load_seconds * 0.8 < at < ends - load_seconds * 0.3]
    rate = (waiting[-1][1] - waiting[0][1]) / (waiting[-1][0] - waiting[0][0])
    return (
        f"cold page of {len(PAGE)} keys, {processes} processes, load {load_seconds:.0f} s: "
        f"{rate:,.0f} commands and key look-ups a second while they wait, worst wait {max(waits):.2f} s"
    )


def slow_load(threads: int = 64, load_timeout_seconds: float = 0.5) -> Callable[[Address], str]:
    """A load that takes longer than its timeout, in a healthy cache."""
    policy = Policy(
        name="slow", value_type=int, ttl_seconds=60, early_refresh_beta=0, load_timeout_seconds=load_timeout_seconds
    )

    def measure(address: Address) -> str:
        cache = CacheAside.connect("127.0.0.1", address.port, auth_token=address.password, tls=False, options=PATIENT)
        cache.invalidate("slow")
        loads: list[int] = []

        def load(value: int) -> int:
            loads.append(value)
            time.sleep(1.5 * load_timeout_seconds)
            return value

        _together(lambda: cache.get_or_load("slow", load, 1, policy=policy), threads)
        served = cache.get_or_load("slow", load, 1, policy=policy).served
        return f"load of 1.5 load timeouts, {threads} threads: {len(loads)} loads, the next read is a {served}"

    return measure


def _together(read: Callable[[], object], readers: int) -> None:
    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _in_processes(kind: str, address: Address, processes: int, load_seconds: float) -> list[float]:
    start = time.time() + _START_AFTER_SECONDS
    forked = multiprocessing.get_context("fork")
    with forked.Pool(processes) as pool:  # forked, for 150 imports would take a minute
        found = pool.starmap(_waits, [(kind, address, start, load_seconds)] * processes, 1)
    return [wait for waits in found for wait in waits]


def _waits(kind: str, address: Address, start: float, load_seconds: float) -> list[float]:
    return list(_reader(kind, address, start, load_seconds))


def _reader(kind: str, address: Address, start: float, load_seconds: float) -> Iterator[float]:
    cache = CacheAside.connect("127.0.0.1", address.port, auth_token=address.password, tls=False, options=PATIENT)
    cache.get_or_load(f"warm:{os.getpid()}", lambda: 1, policy=HOT)
    time.sleep(max(0.0, start - time.time()))

    def none(seconds: float) -> int | None:
        time.sleep(seconds)
        return None

    def page(_: object, seconds: float) -> dict[str, int | None]:
        time.sleep(seconds)
        return dict.fromkeys(PAGE, 1)

    for _ in range(5 if kind == "uncached" else 1):
        begin = time.perf_counter()
        if kind == "uncached":
            cache.get_or_load("absent", none, load_seconds, policy=HOT)
        else:
            cache.get_many_or_load(PAGE, page, load_seconds, policy=HOT)
        yield time.perf_counter() - begin
        time.sleep(random.uniform(0, 0.1))  # noqa: S311 - spreads readers


def degraded(address: Address) -> Iterator[str]:
    """A line for each degradation, as Markdown."""
    yield "\n## Degraded: what readers lose, and what database and cache have to bear\n"
    for line in (outage(), slow_load()(address), uncached(address), cold_page(address)):
        yield f"- {line}"
