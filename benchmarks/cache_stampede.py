"""200 readers of one cold key: `python -m benchmarks.cache_stampede NAME ADDRESS START FILE` is fifty of them."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import redis

from benchmarks.cache_contenders import ASYNC, PRODUCT, SYNC, Address, Product

PROCESSES, READERS, LOAD_SECONDS = 4, 50, 0.05
_START_AFTER_SECONDS = 6.0


def stampede(name: str, address: Address) -> tuple[int, float]:
    """How often the key was loaded, and the longest that a reader waited, in seconds."""
    with redis.Redis(**address.options) as operator:
        operator.flushall()
    start = str(time.time() + _START_AFTER_SECONDS)
    with tempfile.NamedTemporaryFile() as loads:
        arguments = [name, msgspec.json.encode(address).decode(), start, loads.name]
        command = [sys.executable, "-m", "benchmarks.cache_stampede", *arguments]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
        waits = [wait for worker in workers for wait in json.loads(worker.communicate()[0])]
        return Path(loads.name).stat().st_size, max(waits)


def _threads(name: str, address: Address, start: float, loads: int) -> list[float]:
    contender, waits = SYNC[name](address), list[float]()

    def load() -> Product:
        os.write(loads, b".")
        time.sleep(LOAD_SECONDS)
        return PRODUCT

    def read() -> None:
        contender.get("warm", lambda: PRODUCT)
        time.sleep(max(0.0, start - time.time()))
        begin = time.perf_counter()
        contender.get("cold", load)
        waits.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=read) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


async def _tasks(name: str, address: Address, start: float, loads: int) -> list[float]:
    contender = ASYNC[name](address)

    async def warm() -> Product:
        return PRODUCT

    async def load() -> Product:
        os.write(loads, b".")
        await asyncio.sleep(LOAD_SECONDS)
        return PRODUCT

    async def read() -> float:
        await contender.get("warm", warm)
        await asyncio.sleep(max(0.0, start - time.time()))
        begin = time.perf_counter()
        await contender.get("cold", load)
        return time.perf_counter() - begin

    return list(await asyncio.gather(*(read() for _ in range(READERS))))


def main() -> None:
    """One process of readers; prints how long each waited."""
    name, address, start = sys.argv[1], msgspec.json.decode(sys.argv[2], type=Address), float(sys.argv[3])
    loads = os.open(sys.argv[4], os.O_WRONLY | os.O_APPEND)
    waits = _threads(name, address, start, loads) if name in SYNC else asyncio.run(_tasks(name, address, start, loads))
    print(json.dumps(waits))


if __name__ == "__main__":
    main()
