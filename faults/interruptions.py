"""Interrupts readers at any instruction and checks what the next ones are given; every value names its key.

`python -m faults.interruptions signals|cancellations|closures SECONDS SERVER [MUTATION]` prints what was seen as JSON.
"""

import asyncio
import random
import signal
import ssl
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any, NoReturn

import msgspec

from cache_aside import AsyncCacheAside, CacheAside, Options, Policy
from cache_aside.steps import Pause, Step
from faults.mutations import MUTATIONS

KEYS = [f"name:{number}" for number in range(40)]
NAME = Policy(name="name", value_type=str, ttl_seconds=60, load_timeout_seconds=0.5)
_OPTIONS = Options(connect_timeout_seconds=2, read_timeout_seconds=2, probe_interval_seconds=0.01, connections=4)
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
    """Signals, cancellations or closures, for so long."""
    match kind:
        case "signals":
            return signals(target, seconds)
        case "cancellations":
            return asyncio.run(cancellations(target, seconds))
    return closures(target, seconds)


def main() -> None:
    """Prints a `Seen`."""
    kind, seconds, target, *mutation = sys.argv[1:]
    if mutation:
        MUTATIONS[mutation[0]][1]()
    seen = run(kind, float(seconds), msgspec.json.decode(target, type=Target))
    with suppress(BrokenPipeError):
        sys.stdout.write(msgspec.json.encode(seen).decode() + "\n")


if __name__ == "__main__":
    main()
