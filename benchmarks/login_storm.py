"""What a storm of logins does to reads: `make bench-logins` beside `make up`.

Four readers get products over kept-alive connections, first alone and then beside 64 clients that log in as fast as
they are let: half of them with the right password, half as users that do not exist, which costs the server as much.
A client that is answered 503 waits as long as Retry-After says. With --impatient it does not wait.

Promise: the readers' 99th percentile is at most 5 times what it is without the storm. Exits with 1 if it is broken.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

READERS, CLIENTS = 4, 64
THINK_SECONDS = 0.005
MOST_TIMES = 5
_SETTLING_SECONDS = 1


@dataclass(frozen=True)
class Reads:
    """How long reads took, in milliseconds, and how many were not answered 200."""

    milliseconds: list[float]
    failed: int

    def percentile(self, percent: int) -> float:
        """Of the durations."""
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]

    def __str__(self) -> str:
        median, high, most = self.percentile(50), self.percentile(99), max(self.milliseconds)
        return f"{len(self.milliseconds):6} reads: p50 {median:6.2f} ms   p99 {high:6.2f} ms   max {most:7.2f} ms"


class Client:
    """One kept-alive connection, made anew when the server has closed it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=60)

    def send(self, method: str, path: str, body: object = None) -> tuple[int, Mapping[str, str]]:
        """Status and headers of the answer; OSError."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            answer.read()
        except Exception:
            self._connection.close()
            raise
        return answer.status, dict(answer.headers)

    def close(self) -> None:
        """The next request opens a new one."""
        self._connection.close()


def read(url: str, seconds: float) -> Reads:
    """Read for so long."""
    ends = time.monotonic() + seconds

    def one(number: int) -> tuple[list[float], int]:
        client, took, failed = Client(url), list[float](), 0
        while time.monotonic() < ends:
            began = time.perf_counter()
            status, _ = client.send("GET", f"/products/{number}")
            took.append((time.perf_counter() - began) * 1e3)
            failed += status != 200
            time.sleep(THINK_SECONDS)
        return took, failed

    with ThreadPoolExecutor(READERS) as pool:
        parts = list(pool.map(one, range(1, READERS + 1)))
    return Reads([each for took, _ in parts for each in took], sum(failed for _, failed in parts))


def storm(url: str, login: Mapping[str, str], stop: Any, impatient: bool, answers: Any) -> None:
    """Log in with all clients until `stop`, in a process of its own; then put what was answered into `answers`."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def one(number: int) -> None:
        client = Client(url)
        body = dict(login) if number % 2 else {"username": f"nobody-{number}", "password": "a guess"}
        while not stop.is_set():
            try:
                status, headers = client.send("POST", "/sessions", body)
            except OSError as error:
                status, headers = type(error).__name__, {}  # type: ignore[assignment]
            with lock:
                counts[str(status)] += 1
            if not impatient and "Retry-After" in headers:
                client.close()  # the server closes idle connections
                stop.wait(int(headers["Retry-After"]))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(CLIENTS)))
    answers.put(dict(counts))


def main() -> int:
    """1 if the promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://localhost:8080")
    parser.add_argument("--seconds", type=float, default=15, help="of reading, without the storm and beside it")
    parser.add_argument("--impatient", action="store_true", help="clients do not wait before they try again")
    parser.add_argument("--local", type=Path, default=Path(".local"), help="the directory of `make up`")
    options = parser.parse_args()
    login = json.loads((options.local / "credentials.json").read_text())
    read(options.url, _SETTLING_SECONDS)
    alone = read(options.url, options.seconds)
    print(f"alone                {alone}")
    spawn = multiprocessing.get_context("spawn")
    stop, answers = spawn.Event(), spawn.Queue()
    logins = spawn.Process(target=storm, args=(options.url, login, stop, options.impatient, answers))
    logins.start()
    try:
        time.sleep(_SETTLING_SECONDS)
        beside = read(options.url, options.seconds)
    finally:
        stop.set()
    counts = answers.get(timeout=120)
    logins.join()
    print(f"beside {CLIENTS} clients    {beside}")
    times = beside.percentile(99) / alone.percentile(99)
    print(f"logins answered {', '.join(f'{status}: {counts[status]}' for status in sorted(counts))}")
    print(f"p99 beside the storm is {times:.1f} times what it is without; promised: at most {MOST_TIMES}")
    return int(times > MOST_TIMES or beside.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
