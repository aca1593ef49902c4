"""Runs workers in several processes while faults are injected, then checks what they saw."""

import os
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec

from cache_aside import CacheAside, LoadUnavailableError, Relay
from cache_aside.envelope import State
from faults.database import Database
from faults.history import Read, Violation, Write, load, violations
from faults.mutations import MUTATIONS
from faults.proxy import Fault
from faults.replication import AUTH_TOKEN, ReplicationGroup, client_of
from faults.workload import ITEM, OPTIONS, Settings
from local.engines import Postgres
from local.tls import ensure_certificates

KEYS = [f"item:{number}" for number in range(60)]
WORKERS = 3
READERS = 5
RELAY_PERIOD_SECONDS = float(os.environ.get("RELAY_PERIOD_SECONDS", "0.2"))
LONGEST_FAULT_SECONDS = 1.0
BOUND_SECONDS = LONGEST_FAULT_SECONDS + RELAY_PERIOD_SECONDS + 2.8
"""Staleness with faults: the longest fault, the relay's period, and its run on a busy machine."""


class Report(msgspec.Struct):
    """What a campaign found."""

    reads: int
    writes: int
    pending: int
    violations: list[Violation]
    disagreements: list[str]
    worst_staleness_seconds: float
    served: dict[str, int]

    @property
    def broken(self) -> bool:
        """Whether the protocol failed."""
        return bool(self.violations or self.disagreements)


class Site:
    """The engines of a campaign."""

    def __init__(self, directory: Path) -> None:
        certificates = ensure_certificates(directory / "tls")
        self.group = ReplicationGroup(directory, certificates)
        self.postgres = Postgres(
            directory / "postgres", master_password="of-the-tests-only", database="items", certificates=certificates
        )

    def __enter__(self) -> "Site":
        self.group.__enter__()
        self.postgres.start()
        Database(self.dsn).create(KEYS)
        return self

    def __exit__(self, *_: object) -> None:
        self.postgres.stop()
        self.group.__exit__()

    @property
    def dsn(self) -> str:
        """As libpq takes it; a statement that hangs with the server ends after two seconds."""
        node = self.postgres
        return (
            f"host=localhost port={node.port} user=postgres password={node.master_password} dbname=items "
            f"sslmode=verify-full sslrootcert={node.certificates.ca_file} tcp_user_timeout=2000"
        )

    def connect(self) -> CacheAside:
        """A client as the workers have it."""
        tls = ssl.create_default_context(cafile=str(self.group.primary.certificates.ca_file))
        return CacheAside.connect(
            "localhost", self.group.endpoint.port, auth_token=AUTH_TOKEN, tls=tls, options=OPTIONS
        )


Campaign = Callable[[Site, random.Random], None]


def calm(site: Site, dice: random.Random) -> None:
    """No fault, only replies that overtake each other: no read may miss any write acknowledged before it began."""
    site.group.endpoint.inject(Fault.SLOW)
    time.sleep(1)


def cuts(site: Site, dice: random.Random) -> None:
    """A cache that keeps what it has while nobody can reach it to delete anything."""
    site.group.endpoint.inject(dice.choice([Fault.REFUSED, Fault.BLACKHOLE]))
    time.sleep(LONGEST_FAULT_SECONDS)
    site.group.endpoint.inject(Fault.NONE)
    time.sleep(1)


def outages(site: Site, dice: random.Random) -> None:
    """One fault of the network or of an engine, and a second's rest."""
    dice.choice([_network, _network, _hang_cache, _restart_cache, _hang_database, _restart_database])(site, dice)
    time.sleep(dice.uniform(0.3, 1))


def failovers(site: Site, dice: random.Random) -> None:
    """A primary that dies with deletions its replica never heard of."""
    site.group.lose_replication()
    time.sleep(dice.uniform(0.3, LONGEST_FAULT_SECONDS))
    site.group.fail_over()
    time.sleep(1)
    site.group.replace_replica()
    time.sleep(1)


def _network(site: Site, dice: random.Random) -> None:
    site.group.endpoint.inject(dice.choice([Fault.RESET, Fault.REFUSED, Fault.BLACKHOLE]))
    time.sleep(dice.uniform(0.1, LONGEST_FAULT_SECONDS))
    site.group.endpoint.inject(Fault.NONE)


def _hang_cache(site: Site, dice: random.Random) -> None:
    _hang(site.group.primary.pid, dice)


def _restart_cache(site: Site, dice: random.Random) -> None:
    site.group.primary.kill()
    time.sleep(dice.uniform(0, 0.5))
    site.group.primary.start()


def _hang_database(site: Site, dice: random.Random) -> None:
    _hang(site.postgres.pid, dice)


def _restart_database(site: Site, dice: random.Random) -> None:
    site.postgres.kill()
    site.postgres.start()


def _hang(pid: int, dice: random.Random) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(dice.uniform(0.1, LONGEST_FAULT_SECONDS))
    os.kill(pid, signal.SIGCONT)


CAMPAIGNS: dict[str, Campaign] = {"calm": calm, "cuts": cuts, "outages": outages, "failovers": failovers}


def run(name: str, seconds: float, *, mutation: str = "", seed: int = 1) -> Report:
    """Run one campaign; its report says whether the protocol held."""
    with tempfile.TemporaryDirectory(prefix="history-", dir="/tmp") as directory, ExitStack() as stack:
        Path(directory).chmod(0o755)  # PostgreSQL, which root runs as nobody, must enter it
        site = stack.enter_context(Site(Path(directory)))
        with _relaying(site):
            files = _work(site, Path(directory), name, seconds, mutation, random.Random(seed))  # noqa: S311
            site.group.endpoint.inject(Fault.NONE)
            time.sleep(BOUND_SECONDS)
        return _report(load(files), _disagreements(site), 0.0 if name == "calm" else BOUND_SECONDS)


def _work(site: Site, directory: Path, name: str, seconds: float, mutation: str, dice: random.Random) -> list[Path]:
    files = [directory / f"history-{number}" for number in range(WORKERS)]
    ends = time.monotonic() + seconds
    workers = [_start_worker(site, name, number, file, seconds, mutation) for number, file in enumerate(files)]
    while time.monotonic() < ends:
        CAMPAIGNS[name](site, dice)
    for worker in workers:
        if worker.wait(seconds + 60):
            raise RuntimeError(f"a worker failed: exit code {worker.returncode}")
    return files


def _start_worker(
    site: Site, name: str, number: int, file: Path, seconds: float, mutation: str
) -> subprocess.Popen[bytes]:
    # Without faults few keys, so that readers and writers meet; with faults many, so that what went wrong stays.
    keys, pause = (KEYS[:4], 0.02) if name == "calm" else (KEYS, 0.1)
    settings = Settings(
        cache_port=site.group.endpoint.port,
        auth_token=AUTH_TOKEN,
        ca_file=str(site.group.primary.certificates.ca_file),
        dsn=site.dsn,
        keys=keys,
        own_keys=keys[number::WORKERS],
        write_pause_seconds=pause,
        readers=READERS,
        seconds=seconds,
        history=str(file),
        mutation=mutation,
    )
    return subprocess.Popen([sys.executable, "-m", "faults.workload", msgspec.json.encode(settings).decode()])


@contextmanager
def _relaying(site: Site) -> Iterator[None]:
    ended = threading.Event()

    def relay() -> None:
        made = Relay(site.connect(), Database(site.dsn).outbox)
        while not ended.wait(RELAY_PERIOD_SECONDS):
            with suppress(LoadUnavailableError):
                made.run_once()

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _disagreements(site: Site) -> list[str]:
    """The keys whose cached value is not the database's, now that everything has healed."""
    database = Database(site.dsn)
    found = []
    with client_of(site.group.primary) as operator:
        for key in KEYS:
            entry = ITEM.codec.read(key, operator.get(key), time.time(), lambda: 0.0)
            if entry.state is State.FRESH and entry.value != database.version(key):
                found.append(f"{key}: cached {entry.value}, stored {database.version(key)}")
    return found


def _report(events: list[Read | Write], disagreements: list[str], bound_seconds: float) -> Report:
    reads = [event for event in events if isinstance(event, Read)]
    writes = [event for event in events if isinstance(event, Write)]
    return Report(
        reads=len(reads),
        writes=len(writes),
        pending=sum(not write.confirmed for write in writes),
        violations=violations(events, bound_seconds)[:5],
        disagreements=disagreements,
        worst_staleness_seconds=round(max((late.late_seconds for late in violations(events)), default=0.0), 3),
        served=dict(Counter(read.served for read in reads)),
    )


def main() -> None:
    """`python -m faults.campaign NAME SECONDS [MUTATION]` prints the report as JSON."""
    name, seconds, *mutation = sys.argv[1:]
    if mutation:
        MUTATIONS[mutation[0]][1]()
    report = run(name, float(seconds), mutation="".join(mutation))
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")


if __name__ == "__main__":
    main()
