"""What readers lose, and the database and the cache have to bear, while something is degraded: against a limit each.

`make bench-cache` puts a row for each into docs/benchmarks.
"""

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median

import msgspec
import redis

from benchmarks.cache_contenders import Address
from benchmarks.late_proxy import late
from cache_aside import CacheAside, Options, Policy, Served, TooManyLoadsError
from local.processes import free_port

HOT = Policy(name="hot", value_type=int, ttl_seconds=60, early_refresh_beta=0)
PATIENT = Options(connect_timeout_seconds=10, read_timeout_seconds=10)
PAGE = [f"page:{number}" for number in range(50)]
_START_AFTER_SECONDS = 3.0


class Limit(msgspec.Struct):
    """What was measured against what is allowed."""

    what: str
    allowed: str
    measured: str
    holds: bool

    def row(self) -> str:
        """Of a Markdown table."""
        return f"| {self.what} | {self.allowed} | {self.measured} | {'pass' if self.holds else '**fail**'} |"


def outage(seconds: float = 4.0, readers: int = 200, load_seconds: float = 0.1) -> Limit:
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
    return Limit(
        f"cache down, {readers} readers of one key, load {load_seconds * 1000:.0f} ms, {seconds:.0f} s",
        f"{most:.0f} loads, no error",
        f"{counts['loads']} loads, {counts['errors']} errors in {counts['reads']} reads",
        counts["loads"] <= most and not counts["errors"],
    )


def uncached(address: Address, processes: int = 150, load_seconds: float = 0.05) -> Limit:
    """Many processes read a value that does not exist, and whose absence is not cached."""
    waits = _in_processes("uncached", address, processes, load_seconds)
    p50 = median(waits) / load_seconds
    return Limit(
        f"a value that is not cached, {processes} processes, load {load_seconds * 1000:.0f} ms",
        "p50 of 3 load times",
        f"{p50:.1f}, the worst {max(waits) / load_seconds:.1f}",
        p50 <= 3,
    )


def cold_page(address: Address, processes: int = 40, load_seconds: float = 2.0) -> Limit:
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
    return Limit(
        f"cold page of {len(PAGE)} keys, {processes} processes, load {load_seconds:.0f} s",
        "2,000 commands and key look-ups a second",
        f"{rate:,.0f}, the worst wait {max(waits):.2f} s",
        rate <= 2000,
    )


def slow_load(threads: int = 64, load_timeout_seconds: float = 0.5) -> Callable[[Address], Limit]:
    """A load that takes longer than its timeout, in a healthy cache."""
    policy = Policy(
        name="slow", value_type=int, ttl_seconds=60, early_refresh_beta=0, load_timeout_seconds=load_timeout_seconds
    )

    def measure(address: Address) -> Limit:
        cache = CacheAside.connect("127.0.0.1", address.port, auth_token=address.password, tls=False, options=PATIENT)
        cache.invalidate("slow")
        loads: list[int] = []

        def load(value: int) -> int:
            loads.append(value)
            time.sleep(1.5 * load_timeout_seconds)
            return value

        _together(lambda: cache.get_or_load("slow", load, 1, policy=policy), threads)
        served = cache.get_or_load("slow", load, 1, policy=policy).served
        return Limit(
            f"load of 1.5 load timeouts, {threads} threads",
            "1 load, then a HIT",
            f"{len(loads)} loads, then a {served}",
            (len(loads), served) == (1, Served.HIT),
        )

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


def late_replies(address: Address, seconds: float = 6.0, threads: int = 64) -> Limit:
    """One reply in 1,000 is later than a reader waits; one read in 20 is of a new key. Beside it, the same without."""
    found = [_read_through(address, share, seconds, threads) for share in (0.0, 0.001)]
    undisturbed, past = (served.count(Served.BYPASS) / len(served) for served in found)
    hits = found[1].count(Served.HIT) / len(found[1])
    return Limit(
        f"one reply in 1,000 is 250 ms late, {threads} threads, {hits:.0%} hits",
        "1 % of reads past the cache",
        f"{past:.2%} of {len(found[1]):,}; {undisturbed:.2%} without late replies",
        past <= 0.01,
    )


def _read_through(address: Address, share: float, seconds: float, threads: int) -> list[Served]:
    served: list[Served] = []
    with late(address.port, 0.25, share) as port:
        cache = CacheAside.connect("localhost", port, auth_token=address.password, tls=False)
        begins = time.monotonic() + 2  # when every thread has its connection
        ends = begins + seconds

        def read() -> None:
            dice = random.Random()  # noqa: S311 - spreads readers
            while (now := time.monotonic()) < ends:
                key = f"new:{dice.random()}" if dice.random() < 0.05 else f"known:{dice.randrange(20)}"
                found = cache.get_or_load(key, lambda: 1, policy=HOT).served
                if now > begins:
                    served.append(found)
                time.sleep(dice.uniform(0, 0.16))  # 800 reads a second in all: the proxy is to be idle, mostly

        _together(read, threads)
    return served


def slow_cache(address: Address, seconds: float = 4.0, threads: int = 4) -> Limit:
    """Each reply of the cache takes 150 ms, less than a reader waits for one. Each thread has keys of its own."""
    found: list[float] = []
    with late(address.port, 0.15, 1.0) as port:
        cache = CacheAside.connect("localhost", port, auth_token=address.password, tls=False)
        ends = time.monotonic() + seconds

        def read() -> None:
            dice = random.Random()  # noqa: S311 - spreads readers
            mine = f"slow:{dice.random()}"
            while time.monotonic() < ends:
                for key in (mine, f"slow:{dice.random()}"):  # a hit, and a miss
                    begin = time.perf_counter()
                    cache.get_or_load(key, lambda: 1, policy=HOT)
                    found.append(time.perf_counter() - begin)
                    time.sleep(0.01)

        _together(read, threads)
    worst = max(found) * 1000
    return Limit(
        f"each reply of the cache takes 150 ms, {threads} threads, a load takes no time",
        "250 ms of any read",
        f"the worst {worst:.0f} ms, p50 {median(found) * 1000:.1f} ms of {len(found):,} reads",
        worst <= 250,
    )


def degraded(address: Address) -> Iterator[Limit]:
    """One for each degradation."""
    yield outage()
    yield slow_load()(address)
    yield uncached(address)
    yield cold_page(address)
    yield late_replies(address)
    yield slow_cache(address)
