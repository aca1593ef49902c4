"""What a read costs while the cache refuses or hangs: `python -m benchmarks.cache_broken NAME PORT` is one library."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.cache_contenders import ASYNC, PRODUCT, SYNC, Address, OurAsync, OurSync
from cache_aside import Options

LIMIT_SECONDS = 30.0
READS = 200


def cost(name: str, port: int) -> list[float] | None:
    """Seconds of each read of a loader that takes no time; None: no answer within the limit."""
    command = [sys.executable, "-m", "benchmarks.cache_broken", name, str(port)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_SECONDS, text=True)
    except subprocess.TimeoutExpired:
        return None
    return list(json.loads(done.stdout)) if done.returncode == 0 else None


def hung() -> socket.socket:
    """A server that accepts and never answers."""
    return socket.create_server(("127.0.0.1", 0), backlog=512)


def _timed(read: Callable[[], Any], once: bool) -> list[float]:
    found = []
    for _ in range(1 if once else READS):
        begin = time.perf_counter()
        read()
        found.append(time.perf_counter() - begin)
        time.sleep(0.005)
    return found


def main() -> None:
    """Each library with its own defaults; ours with its probes in the background, and in the request."""
    name, address = sys.argv[1], Address(int(sys.argv[2]))
    if name in SYNC or name.startswith("cache_aside,"):
        ours = Options(background=name.endswith("background"))
        contender = OurSync(address, ours) if name.startswith("cache_aside") else SYNC[name](address)
        times = _timed(lambda: _quietly(lambda: contender.get("key", lambda: PRODUCT)), "cache_aside" not in name)
    else:
        times = asyncio.run(_async(name, address))
    print(json.dumps(times))


def _quietly(read: Callable[[], Any]) -> None:
    try:
        read()
    except Exception as error:  # noqa: BLE001 - how long it takes until it raises is what is asked
        print(type(error).__name__, file=sys.stderr)


async def _async(name: str, address: Address) -> list[float]:
    contender = OurAsync(address, Options()) if name == "cache_aside async" else ASYNC[name](address)

    async def load() -> Any:
        return PRODUCT

    found = []
    for _ in range(READS if name == "cache_aside async" else 1):
        begin = time.perf_counter()
        try:
            await contender.get("key", load)
        except Exception as error:  # noqa: BLE001 - as above
            print(type(error).__name__, file=sys.stderr)
        found.append(time.perf_counter() - begin)
        await asyncio.sleep(0.005)
    return found


if __name__ == "__main__":
    main()
