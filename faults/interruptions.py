"""Interrupts readers at any instruction and checks what the next ones are given; every value names its key.

`python -m faults.interruptions KIND SECONDS SERVER [MUTATION]` prints what was seen as JSON; the kinds are signals,
cancellations, closures, forks and slow.
"""

import asyncio
import logging
import os
import random
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any, NoReturn

import msgspec

from cache_aside import AsyncCacheAside, CacheAside, Options, Policy
from cache_aside.steps import Pause, Step
from faults.mutations import MUTATIONS
from faults.proxy import Fault, FaultProxy

KEYS = [f"name:{number}" for number in range(40)]
NAME = Policy(name="name", value_type=str, ttl_seconds=60, load_timeout_seconds=0.5)
_OPTIONS = Options(connect_timeout_seconds=2, read_timeout_seconds=2, probe_interval_seconds=0.01, connections=4)
_LONGEST_CHILD_SECONDS = 20.0
_SOONEST_SECONDS, _LATEST_SECONDS = 2e-5, 0.05


class Target(msgspec.Struct, frozen=True):
    """A server."""

    port: int
    auth_token: str
    ca_file: str = ""
    """Empty: plain text, which connects sooner and so is interrupted more often where it matters."""


class Seen(msgspec.Struct):
    """What readers saw."""

    reads: int = 0
    interrupted: int = 0
    waited: int = 0
    """Readers that found a lease though nobody else reads: whoever was interrupted has left it."""
    wrong: list[str] = []
    served: dict[str, int] = {}
    errors: dict[str, int] = {}


class InterruptedReadError(BaseException):
    """What Ctrl-C, a soft time limit or a timeout by SIGALRM raises, wherever the thread happens to be."""


class Watched(CacheAside):
    """A client that counts how often a reader pauses, as it does while somebody else loads."""

    pauses = 0

    def _perform(self, step: Step, load: Any) -> Any:
        self.pauses += isinstance(step, Pause)
        return super()._perform(step, load)


def signals(target: Target, seconds: float) -> Seen:
    """A real SIGALRM at a random instant of a read, again and again."""
    cache, seen, served, errors = Watched.connect(**_connection(target)), Seen(), Counter[str](), Counter[str]()
    assert isinstance(cache, Watched)
    dice, ends = random.Random(), time.monotonic() + seconds  # noqa: S311
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = lambda _: None  # an interrupted destructor says so, and is no reader
    while time.monotonic() < ends:
        key = dice.choice(KEYS)
        cache.pauses = 0
        try:
            signal.setitimer(signal.ITIMER_REAL, _soon(dice))
            if dice.random() < 0.1:
                cache.invalidate(key)
            result = cache.get_or_load(key, lambda key=key: key, policy=NAME)  # type: ignore[misc]
            signal.setitimer(signal.ITIMER_REAL, 0)
        except InterruptedReadError:
            seen.interrupted += 1
        except Exception as error:  # noqa: BLE001 - counted: nothing else may be raised
            if _is_of_an_interruption(error):
                seen.interrupted += 1
            else:
                errors[repr(error)] += 1
        else:
            _note(seen, served, key, result.value, result.served)
        seen.waited += cache.pauses > 0
    signal.setitimer(signal.ITIMER_REAL, 0)
    return msgspec.structs.replace(seen, served=dict(served), errors=dict(errors))


async def cancellations(target: Target, seconds: float) -> Seen:
    """Sixteen tasks that read over four connections, and are cancelled at random instants."""
    cache, seen, served, errors = AsyncCacheAside.connect(**_connection(target)), Seen(), Counter[str](), Counter[str]()
    dice, ends = random.Random(), time.monotonic() + seconds  # noqa: S311

    async def read(key: str) -> None:
        async def load() -> str:
            await asyncio.sleep(0)
            return key

        if dice.random() < 0.1:
            await cache.invalidate(key)
        result = await cache.get_or_load(key, load, policy=NAME)
        _note(seen, served, key, result.value, result.served)

    async def reader() -> None:
        while time.monotonic() < ends:
            try:
                async with asyncio.timeout(_soon(dice)):
                    await read(dice.choice(KEYS))
            except TimeoutError:
                seen.interrupted += 1
            except Exception as error:  # noqa: BLE001 - counted: nothing else may be raised
                errors[repr(error)] += 1

    await asyncio.gather(*(reader() for _ in range(16)))
    await cache.close()
    return msgspec.structs.replace(seen, served=dict(served), errors=dict(errors))


def closures(target: Target, seconds: float) -> Seen:
    """Loaders that look at a loop's variable, for values that are always due for a refresh, behind their readers."""
    options = msgspec.structs.replace(_OPTIONS, background=True)
    cache, seen, served = CacheAside.connect(**_connection(target) | {"options": options}), Seen(), Counter[str]()
    due = Policy(name="due", value_type=str, ttl_seconds=60, early_refresh_beta=1e9, background=True)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for key in KEYS:
            result = cache.get_or_load(key, lambda: key, policy=due)  # noqa: B023 - it is what goes wrong
            _note(seen, served, key, result.value, result.served)
    return msgspec.structs.replace(seen, served=dict(served))


class Readers:
    """Threads that read and invalidate until the time is over."""

    def __init__(self, cache: CacheAside, threads: int, seconds: float) -> None:
        self._cache, self._dice = cache, random.Random()  # noqa: S311
        self.seen, self._served, self.errors = Seen(), Counter[str](), Counter[str]()
        self.ends = time.monotonic() + seconds
        self._threads = [threading.Thread(target=self._repeat) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def reading(self) -> bool:
        """Whether the time is not over."""
        return time.monotonic() < self.ends

    def read(self) -> None:
        """One read, sometimes after a deletion."""
        key = self._dice.choice(KEYS)
        try:
            if self._dice.random() < 0.1:
                self._cache.invalidate(key)
            result = self._cache.get_or_load(key, str, key, policy=NAME)
        except Exception as error:  # noqa: BLE001 - counted: nothing else may be raised
            self.errors[repr(error)] += 1
        else:
            _note(self.seen, self._served, key, result.value, result.served)

    def end(self) -> Seen:
        """What they have seen."""
        for thread in self._threads:
            thread.join()
        return msgspec.structs.replace(self.seen, served=dict(self._served), errors=dict(self.errors))

    def _repeat(self) -> None:
        while self.reading:
            self.read()


def forks(target: Target, seconds: float) -> Seen:
    """Processes that fork while their threads read: parents and children go on with what they were doing."""
    readers = Readers(CacheAside.connect(**_connection(target)), 3, seconds)
    while readers.reading:
        readers.seen.interrupted += 1
        child = os.fork()
        if child == 0:
            _read_on_and_exit(readers)
        if not _ends_well(child):
            readers.errors["a child of a fork has hung, or was given another key's value"] += 1
    return readers.end()


def slow(target: Target, seconds: float) -> Seen:
    """Threads whose replies are late now and then, by less or by more than they wait, so that some are left unread."""
    with FaultProxy(target.port, delays_seconds=(0.0, 0.15)) as proxy:
        near = _connection(msgspec.structs.replace(target, port=proxy.port))
        near["options"] = msgspec.structs.replace(_OPTIONS, read_timeout_seconds=0.1, bypass_wait_seconds=30)
        readers = Readers(CacheAside.connect(**near), 8, seconds)
        while readers.reading:
            proxy.inject(Fault.SLOW)
            time.sleep(0.3)
            proxy.inject(Fault.NONE)
            time.sleep(0.3)
        seen = readers.end()
        return msgspec.structs.replace(seen, interrupted=seen.served.get("BYPASS", 0))


def _read_on_and_exit(readers: Readers) -> NoReturn:
    """In the child: what its parent has seen until now is the parent's to tell."""
    readers.seen.wrong.clear()
    readers.errors.clear()
    try:
        for _ in range(50):
            readers.read()
    finally:
        os._exit(1 if readers.seen.wrong or readers.errors else 0)


def _ends_well(child: int) -> bool:
    """Whether the process ends by itself, and without a complaint."""
    ends = time.monotonic() + _LONGEST_CHILD_SECONDS
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _connection(target: Target) -> dict[str, Any]:
    tls = ssl.create_default_context(cafile=target.ca_file) if target.ca_file else False
    return {
        "host": "localhost",
        "port": target.port,
        "auth_token": target.auth_token,
        "tls": tls,
        "options": _OPTIONS,
    }


def _note(seen: Seen, served: Counter[str], key: str, value: object, how: str) -> None:
    seen.reads += 1
    served[how] += 1
    if value != key:
        seen.wrong.append(f"{key}: {how} {value!r}")


def _soon(dice: random.Random) -> float:
    """Most often within a hit or a miss, sometimes long enough for a new connection."""
    return float(_SOONEST_SECONDS * (_LATEST_SECONDS / _SOONEST_SECONDS) ** dice.random())


def _is_of_an_interruption(error: BaseException | None) -> bool:
    """Whether this is what the reader's own interruption became: threading.Condition.wait, interrupted before it has
    its lock again, lets `with` raise "release unlocked lock" in place of it.
    """
    while error is not None and not isinstance(error, InterruptedReadError):
        error = error.__cause__ or error.__context__
    return error is not None


def _interrupt(number: int, frame: object) -> NoReturn:
    raise InterruptedReadError


def run(kind: str, seconds: float, target: Target) -> Seen:
    """One kind of interruptions, for so long."""
    match kind:
        case "signals":
            return signals(target, seconds)
        case "cancellations":
            return asyncio.run(cancellations(target, seconds))
        case "forks":
            return forks(target, seconds)
        case "slow":
            return slow(target, seconds)
    return closures(target, seconds)


def main() -> None:
    """Prints a `Seen`."""
    logging.getLogger("cache_aside").setLevel(logging.ERROR)  # outages are what this is for
    kind, seconds, target, *mutation = sys.argv[1:]
    if mutation:
        MUTATIONS[mutation[0]][1]()
    seen = run(kind, float(seconds), msgspec.json.decode(target, type=Target))
    with suppress(BrokenPipeError):
        sys.stdout.write(msgspec.json.encode(seen).decode() + "\n")


if __name__ == "__main__":
    main()
