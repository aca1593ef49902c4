"""cache_aside beside the libraries one would use instead, on the same servers in one run: `make bench-cache`.

Rounds are interleaved, so that a busy machine slows every library alike: compare ratios, not microseconds. The table
goes to docs/benchmarks/cache.md and the plot to docs/benchmarks/cache.svg. QUICK=1 takes a minute and writes nothing.
"""

import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import redis

from benchmarks.cache_broken import cost, hung
from benchmarks.cache_contenders import ASYNC, SYNC, Address
from benchmarks.cache_degraded import Limit, degraded
from benchmarks.cache_plot import bars
from benchmarks.cache_speed import Timing, over_keys, over_tasks, over_threads, side_by_side
from benchmarks.cache_stampede import LOAD_SECONDS, PROCESSES, READERS, stampede
from local.engines import Valkey
from local.processes import free_port
from local.tls import ensure_certificates

QUICK = bool(os.environ.get("QUICK"))
ROUNDS, ROUNDS_OVER_TLS, TIMES = (5, 5, 100) if QUICK else (25, 12, 300)
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks"
BROKEN = ["cache_aside, probes in the background", "cache_aside, probes in the request", "cache_aside async"]
OTHERS = ["redis-py", "dogpile", "cashews", "aiocache"]
PROBES = """
The worst later read of "probes in the request" is the probe: one request in 250 ms (`probe_interval_seconds`) asks
whether the hung cache is back, and loses 50 ms (`probe_timeout_seconds`) by it. A process that may work in the
background asks from a thread instead; under Lambda there is none."""
PACKAGES = ["redis", "hiredis", "msgspec", "dogpile.cache", "cashews", "aiocache"]


def speed(place: str, address: Address, limits: list[Limit]) -> Iterator[str]:
    """Hit, miss and batch: median and 99th percentile in microseconds, and the ratio to the floor."""
    rounds = ROUNDS_OVER_TLS if address.ca_file else ROUNDS
    measured = {
        what: side_by_side(address, what, rounds=rounds, times=times)
        for what, times in (("hit", TIMES), ("miss", TIMES // 3), ("batch", TIMES // 3))
    }
    yield f"\n## Hit, miss and batch: {place}\n"
    yield "| | hit p50 | p99 | ratio | miss p50 | p99 | ratio | batch of 50 p50 | p99 | ratio |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name in (*SYNC, *ASYNC):
        cells = (cell for what in measured for cell in _cells(measured[what][name]))
        yield f"| {name} | {' | '.join(cells)} |"
    for name, timing in measured["miss"].items():
        if timing.deleted > 0:
            yield f"\n{name} answered {timing.deleted:.0%} of the reads right after a `DEL` with the deleted value."
    if place == "Plain":
        for what, most in (("hit", 0.90), ("miss", 1.60)):
            ratio = measured[what]["cache_aside"].ratio
            limits.append(Limit(f"{what}, p50", f"{most:.2f} of redis-py's", f"{ratio:.2f}", ratio <= most))
    if not QUICK and place == "Plain":
        (DOCS / "cache.svg").write_text(bars({name: timing.p50 for name, timing in measured["hit"].items()}))


def _cells(timing: Timing) -> tuple[str, str, str]:
    return f"{timing.p50:.0f}", f"{timing.p99:.0f}", f"{timing.ratio:.2f}"


def stampedes(address: Address) -> Iterator[str]:
    """Loads and worst wait; medians of several bursts."""
    yield f"\n## Stampede: {PROCESSES} processes x {READERS} readers, one cold key, load {LOAD_SECONDS * 1000:.0f} ms\n"
    yield "| | loads (median, most) | worst wait (median, most) |\n|---|---|---|"
    for name in (*SYNC, *ASYNC):
        bursts = [stampede(name, address) for _ in range(1 if QUICK else 2)]
        loads, waits = [burst[0] for burst in bursts], [burst[1] * 1000 for burst in bursts]
        counted = f"{statistics.median(loads):.0f}, {max(loads)}"
        yield f"| {name} | {counted} | {statistics.median(waits):.0f} ms, {max(waits):.0f} ms |"


def broken() -> Iterator[str]:
    """First read, and later ones."""
    yield "\n## Cache refused or hung: what a read of an instant database costs, in ms\n"
    yield "| | refused: first | later p50, max | hung: first | later p50, max |\n|---|---|---|---|---|"
    with hung() as listener:
        for name in (*BROKEN, *OTHERS):
            cells = [_broken_cells(cost(name, port)) for port in (free_port(), listener.getsockname()[1])]
            yield f"| {name} | {' | '.join(cells)} |"
    yield PROBES


def _broken_cells(seconds: list[float] | None) -> str:
    if seconds is None:
        return "over 30,000 | "
    first, later = seconds[0] * 1000, sorted(second * 1000 for second in seconds[1:])
    return f"{first:.1f} | " + (f"{statistics.median(later):.2f}, {later[-1]:.2f}" if later else "")


def scaling(address: Address) -> Iterator[str]:
    """Threads with a connection each, and keys in the cache."""
    yield "\n## Threads (a connection each), hits a second\n"
    yield "| threads | redis-py | cache_aside | ratio of median latencies |\n|---|---|---|---|"
    for count, floor, ours, ratio in over_threads(address, [1, 2, 4, 8, 16, 32, 64], times=30 if QUICK else 300):
        yield f"| {count} | {floor:,.0f} | {ours:,.0f} | {ratio:.2f} |"
    yield "\n## Keys in the cache, hit p50 in microseconds\n"
    yield "| keys | redis-py | cache_aside |\n|---|---|---|"
    counts = [1, 10**3] if QUICK else [1, 10**2, 10**4, 10**6]
    for count, floor, ours in over_keys(address, counts, times=3000):
        yield f"| {count:,} | {floor:.0f} | {ours:.0f} |"


def limited(address: Address, limits: list[Limit]) -> Iterator[str]:
    """What the library must hold, one row each."""
    ratio = over_tasks(address, 64, times=20 if QUICK else 300)
    limits.append(Limit("hits of 64 tasks at once", "1.30 of redis.asyncio's time", f"{ratio:.2f}", ratio <= 1.3))
    limits += degraded(address)
    yield "\n## Limits\n"
    yield "What the library is to hold, healthy and degraded; `make bench-cache` ends with 1 when one fails.\n"
    yield "| what | at most | measured | |\n|---|---|---|---|"
    yield from (limit.row() for limit in limits)


def head(server: str) -> Iterator[str]:
    """What was measured with what."""
    yield "# cache_aside beside other libraries\n"
    yield "Written by `make bench-cache`. Times are microseconds unless said otherwise; a ratio is the median over"
    yield "interleaved rounds of a library's median to redis-py's (or redis.asyncio's) in the same round. The floor,"
    yield "redis-py with `single_connection_client` and a connection a thread, protects from nothing: its miss is GET"
    yield "and SET.\n"
    yield f"{server}, {platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} x"
    yield f"{platform.machine()} on {platform.system()}; " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield f"\nLoad average at the start: {os.getloadavg()[0]:.0f}. Above the number of processors, others worked too:"
    yield "the ratios are worth more than the times then."
    yield "\n![median hit by library](cache.svg)"


def lines(limits: list[Limit]) -> Iterator[str]:
    """The whole report."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as directory:
        certificates = ensure_certificates(Path(directory) / "tls")
        valkey = Valkey(Path(directory) / "valkey", auth_token="of-the-benchmark-only", certificates=certificates)  # noqa: S106
        valkey.start()
        try:
            tls = Address(valkey.port, valkey.auth_token, str(certificates.ca_file))
            with redis.Redis(**tls.options) as operator:
                plain = Address(free_port(), valkey.auth_token)
                operator.config_set("port", plain.port)  # it listens behind its TLS front only
                server = f"Valkey {operator.info('server')['valkey_version']}"
            yield from head(server)
            yield from speed("Plain", plain, limits)
            yield from limited(plain, limits)
            yield from speed("TLS, through a terminating proxy", tls, limits)
            yield from stampedes(plain)
            yield from broken()
            yield from scaling(plain)
        finally:
            valkey.stop()


def main() -> int:
    """Print the report as it comes, and keep it; whether a limit failed."""
    DOCS.mkdir(parents=True, exist_ok=True)
    kept = []
    limits: list[Limit] = []
    for line in lines(limits):
        print(line, flush=True)
        kept.append(line)
    if not QUICK:
        (DOCS / "cache.md").write_text("\n".join(kept) + "\n")
    return 0 if all(limit.holds for limit in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
