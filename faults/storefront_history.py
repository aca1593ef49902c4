"""The promise as a client of the running app sees it: `python -m faults.storefront_history` beside `make up`.

Four clients each alone write one product, whose name is a growing number; twelve read them all. No read that begins
after a write was acknowledged may show a lower number, and nothing may answer 5xx. With `--kill-every SECONDS` the
cache is killed meanwhile. Five seconds after the end every product has to equal its row.
"""

import argparse
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg

from faults.history import Read, Write, violations
from local.engine_requests import EngineRequest
from local.errors import LocalError
from local.progress import Live
from local.run_directory import RunDirectory
from local.up import LOCAL

PRODUCTS = (1, 2, 3, 4)
READERS = 12
HEALING_SECONDS = 5


class Clients:
    """Everybody who talks to the app, and what they saw."""

    def __init__(self, url: str, login: Mapping[str, str]) -> None:
        self._url = url
        self.events: list[Read | Write] = []
        self.served: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.over = threading.Event()
        with self._client() as client:
            token = client.post("/sessions", json=dict(login)).raise_for_status().json()["token"]
        self._authorization = {"Authorization": f"Bearer {token}"}

    def run(self, seconds: float) -> None:
        """Write and read for so long."""
        with ThreadPoolExecutor(len(PRODUCTS) + READERS) as pool:
            clients = [pool.submit(self._write, product) for product in PRODUCTS]
            clients += [pool.submit(self._read) for _ in range(READERS)]
            time.sleep(seconds)
            self.over.set()
            for client in clients:
                client.result()

    def name(self, product: int) -> str:
        """What the app shows now."""
        with self._client() as client:
            return str(client.get(f"/products/{product}").raise_for_status().json()["name"])

    def _write(self, product: int) -> None:
        left_by_an_earlier_run = self.name(product)
        first = int(left_by_an_earlier_run) + 1 if left_by_an_earlier_run.isdecimal() else 1
        with self._client() as client:
            client.headers.update(self._authorization)
            for number in itertools.count(first):
                if self.over.is_set():
                    break
                answer = self._send(client, "PUT", product, {"name": f"{number}", "price": 1})
                if answer is not None and answer.status_code == 200:
                    confirmed = "X-Invalidation" not in answer.headers
                    self.events.append(Write(str(product), time.monotonic(), number, confirmed))

    def _read(self) -> None:
        with self._client() as client:
            while not self.over.is_set():
                product, begin = random.choice(PRODUCTS), time.monotonic()  # noqa: S311 - no secret
                answer = self._send(client, "GET", product)
                if answer is not None and answer.status_code == 200:
                    name, served = answer.json()["name"], answer.headers["X-Cache"]
                    self.served[served] += 1
                    if name.isdecimal():
                        self.events.append(Read(str(product), begin, time.monotonic(), int(name), served))

    def _send(self, client: httpx.Client, method: str, product: int, body: object = None) -> httpx.Response | None:
        try:
            answer = client.request(method, f"/products/{product}", json=body)
        except httpx.TransportError as error:
            self.failures[type(error).__name__] += 1
            return None
        if answer.status_code >= 500:
            self.failures[str(answer.status_code)] += 1
        return answer

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, timeout=30, trust_env=False)


def kill_again_and_again(pid_file: Path, every_seconds: float, over: threading.Event) -> None:
    """Kill the process that the file names whenever it has been started again."""
    while not over.wait(every_seconds):
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def rows(local: Path) -> dict[int, str]:
    """The products' names in the database."""
    (server,) = (found for found in EngineRequest.find_all(local / "engines") if found.kind == "postgres")
    with psycopg.connect(
        host="localhost",
        port=server.port,
        dbname=server.database,
        user=server.username,
        password=server.password,
        sslmode="verify-full",
        sslrootcert=str(local / "tls" / "ca.pem"),
    ) as connection:
        return dict(connection.execute("SELECT id, name FROM products WHERE id = ANY(%s)", [list(PRODUCTS)]).fetchall())


def main() -> int:
    """1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://localhost:8080")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kill-every", type=float, metavar="SECONDS")
    parser.add_argument("--local", type=Path, default=LOCAL, help="the directory of `make up`")
    options = parser.parse_args()
    try:
        RunDirectory(options.local / "run").require_app()
        clients = Clients(options.url, json.loads((options.local / "credentials.json").read_text()))
    except (LocalError, httpx.TransportError) as error:
        where = "" if isinstance(error, LocalError) else f"{options.url}: name the app's: make history URL=...: "
        sys.stderr.write(f"error: {where}{error}\n")
        return 1
    if options.kill_every:
        arguments = (options.local / "run" / "valkey.pid", options.kill_every, clients.over)
        threading.Thread(target=kill_again_and_again, args=arguments, daemon=True).start()
    with Live(f"writing and reading for {options.seconds:.0f} s"):
        clients.run(options.seconds)
        time.sleep(HEALING_SECONDS)
    return report(clients, rows(options.local))


def report(clients: Clients, rows_now: Mapping[int, str]) -> int:
    """Say what was seen; 1 if a promise was broken."""
    shown = {product: clients.name(product) for product in rows_now}
    wrong = {product: (shown[product], row) for product, row in rows_now.items() if shown[product] != row}
    late = violations(clients.events)
    writes = [event for event in clients.events if isinstance(event, Write)]
    pending = sum(not write.confirmed for write in writes)
    lines = [
        f"{len(writes)} writes acknowledged, {pending} of them pending; reads served: {dict(clients.served)}",
        f"reads that showed less than was acknowledged before they began: {len(late)} {late[:3] or ''}",
        f"5xx and broken connections: {dict(clients.failures) or 'none'}",
        f"products that differ from their rows: {wrong or 'none'}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return bool(late or clients.failures or wrong)


if __name__ == "__main__":
    sys.exit(main())
