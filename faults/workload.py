"""One process of clients that read and write items until it is told to stop: `python -m faults.workload JSON`."""

import logging
import random
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec

from cache_aside import CacheAside, LoadUnavailableError, Options, Policy, TooManyLoadsError
from faults.database import Database
from faults.history import Read, Write
from faults.mutations import MUTATIONS

ITEM = Policy(name="item", value_type=int, ttl_seconds=600, load_timeout_seconds=2, wait_timeout_seconds=1)
OPTIONS = Options(invalidation_seconds=0.3, probe_interval_seconds=0.1)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told."""

    cache_port: int
    auth_token: str
    ca_file: str
    dsn: str
    keys: list[str]
    own_keys: list[str]
    write_pause_seconds: float
    readers: int
    seconds: float
    history: str
    mutation: str = ""


class Worker:
    """Reader threads, and one writer of the keys that this process alone writes."""

    def __init__(self, settings: Settings, history: TextIO) -> None:
        self._settings, self._history = settings, history
        self._dice = random.Random()  # noqa: S311 - decides when things happen, guards nothing
        self._lock = threading.Lock()
        self._ends = time.monotonic() + settings.seconds
        tls = ssl.create_default_context(cafile=settings.ca_file)
        self._cache = CacheAside.connect(
            "localhost", settings.cache_port, auth_token=settings.auth_token, tls=tls, options=OPTIONS
        )

    def run(self) -> None:
        """Until the time is over."""
        threads = [threading.Thread(target=self._repeat, args=[self._reader()]) for _ in range(self._settings.readers)]
        threads.append(threading.Thread(target=self._repeat, args=[self._writer()]))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, act: Callable[[], Read | Write]) -> None:
        while time.monotonic() < self._ends:
            try:
                event = act()
            except (LoadUnavailableError, TooManyLoadsError):
                time.sleep(0.01)
                continue
            with self._lock:
                self._history.write(msgspec.json.encode(event).decode() + "\n")

    def _reader(self) -> Callable[[], Read]:
        database = Database(self._settings.dsn)

        def read() -> Read:
            key = self._dice.choice(self._settings.keys)

            def load() -> int:
                version = database.version(key)
                time.sleep(self._dice.uniform(0, 0.02))  # a slow network widens every race
                return version

            begin = time.monotonic()
            result = self._cache.get_or_load(key, load, policy=ITEM)
            assert result.value is not None
            return Read(key, begin, time.monotonic(), result.value, result.served)

        return read

    def _writer(self) -> Callable[[], Write]:
        database = Database(self._settings.dsn)
        mutation = self._settings.mutation

        def write() -> Write:
            time.sleep(self._dice.uniform(0, 2 * self._settings.write_pause_seconds))
            key = self._dice.choice(self._settings.own_keys)
            if mutation == "delete_before_commit":
                confirmed = self._cache.invalidate(key).confirmed
                time.sleep(0.002)
            version, rows = database.write(key, outbox=mutation != "no_outbox")
            if mutation != "delete_before_commit":
                confirmed = self._cache.invalidate(key).confirmed
            acknowledged = time.monotonic()
            if confirmed:
                database.outbox.mark_delivered(rows)
            return Write(key, acknowledged, version, confirmed)

        return write


def main() -> None:
    """Break the protocol if told so, then work."""
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    if settings.mutation:
        MUTATIONS[settings.mutation][1]()
    logging.getLogger("cache_aside").setLevel(logging.ERROR)  # outages are what this is for
    with Path(settings.history).open("w") as history:
        Worker(settings, history).run()


if __name__ == "__main__":
    main()
