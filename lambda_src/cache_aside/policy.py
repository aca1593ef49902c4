"""What is cached, for how long, and what may be served when something is broken: one policy per data type.

And what a client may cost: `Options`, the same for the sync and the async one.
"""

import math
import random
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from numbers import Real
from typing import Any, Generic, TypeVar

import msgspec

from cache_aside.envelope import Codec, schema_id
from cache_aside.errors import LoadUnavailableError, PolicyError

T = TypeVar("T")
LONGEST_SECONDS = 10 * 365 * 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Policy(Generic[T]):
    """The rules of one data type.

    Args:
        name: labels metrics.
        value_type: what a hit is decoded into and checked against: whatever msgspec knows (Struct, dataclass,
            TypedDict, list[...]), or a Pydantic model.
        ttl_seconds: upper bound of a value's age, or a function of the value that returns it (the rest of a session's
            life); zero or less means that this value is not cached, and ten years are the most.
        negative_ttl_seconds: how long "there is none" is cached. Default 0: not cached.
        jitter: every TTL is shortened by a random share of up to this much, so that keys filled together do not expire
            together. Default 0.1.
        schema_version: raise it when the meaning of the value changes but its shape does not: a new shape is noticed.
        max_bytes: larger values are not cached. Default 64 KiB.
        load_timeout_seconds: hard timeout. An asynchronous load is cancelled then. A synchronous loader must bound
            itself (statement_timeout); what it returns within twice the time is cached, as long as a lease lasts.
            Default 5.
        wait_timeout_seconds: how long a reader waits for another one's load before it loads for itself without
            filling. Default: load_timeout_seconds.
        soft_timeout_seconds: how long a reader that has a stale value at hand waits for the new one before it is served
            STALE. The reader that loads can leave its own load only if the client may work in the background.
            Default None: no soft timeout.
        early_refresh_beta: XFetch's beta: 1 is the paper's optimum, more refreshes earlier, 0 never. Default 1.
        stale_if_error_seconds: how long past its TTL a value is kept for the case that its load fails. Default 0.
        stale_errors: the exceptions of a loader that a stale value may hide. Default: LoadUnavailableError.
        background: whether a load may go on while no reader waits for it, for early refreshes and past a soft timeout:
            only loads that are given with their arguments, and only where `Options.background` is on. Default False.
        fail_closed: trust a hit only from a server whose lost deletions are known to be replayed (`is_replayed`).
            Default False.

    Raises:
        PolicyError: a setting that cannot work.

    Source: XFetch is Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
    """

    name: str
    value_type: type[T]
    ttl_seconds: float | Callable[[T], float]
    negative_ttl_seconds: float = 0.0
    jitter: float = 0.1
    schema_version: int = 1
    max_bytes: int = 64 * 1024
    load_timeout_seconds: float = 5.0
    wait_timeout_seconds: float | None = None
    soft_timeout_seconds: float | None = None
    early_refresh_beta: float = 1.0
    stale_if_error_seconds: float = 0.0
    stale_errors: tuple[type[Exception], ...] = (LoadUnavailableError,)
    background: bool = False
    fail_closed: bool = False
    codec: Codec[T] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._validate()
        codec = Codec(
            self.value_type,
            schema_id(self.value_type, self.schema_version),
            early_refresh_beta=self.early_refresh_beta,
            stale_seconds=self.stale_if_error_seconds,
        )
        object.__setattr__(self, "codec", codec)

    @property
    def patience_seconds(self) -> float:
        """How long a reader waits for another one's load."""
        return self.load_timeout_seconds if self.wait_timeout_seconds is None else self.wait_timeout_seconds

    @property
    def lease_ms(self) -> int:
        """How long a load may take before another reader may start one: twice its timeout."""
        return max(1, round(2 * self.load_timeout_seconds * 1000))

    def lifetime_seconds(self, value: T | None) -> float:
        """How long this value may be served as a HIT, jitter taken off; zero or less: it is not cached.

        Raises:
            PolicyError: the TTL function returned no number.
        """
        if value is None:
            ttl = self.negative_ttl_seconds
        elif callable(self.ttl_seconds):
            ttl = self.ttl_seconds(value)
            if not _is_number(ttl):
                given = reprlib.repr(ttl)
                raise PolicyError(
                    f"the ttl_seconds function of policy {self.name!r} must return a number{_hint(ttl)}, not {given}"
                )
        else:
            ttl = self.ttl_seconds
        ttl = min(ttl, LONGEST_SECONDS)
        return ttl * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, guards nothing

    def stale_seconds(self, value: T | None) -> float:
        """How long past its lifetime this value is kept as a stand-in. That there is none is not worth keeping."""
        return 0.0 if value is None else self.stale_if_error_seconds

    def __reduce__(self) -> tuple[Callable[..., "Policy[T]"], tuple[type["Policy[T]"], dict[str, Any]]]:
        """Pickle and copy the settings; the codec is made anew."""
        return _made, (
            type(self),
            {setting.name: getattr(self, setting.name) for setting in fields(self) if setting.init},
        )

    def _validate(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise PolicyError(f"name of a policy must be a str such as 'product', not {self.name!r}")
        check = _Check(f"policy {self.name!r}", self)
        if not callable(self.ttl_seconds):
            check.number("ttl_seconds", 300, positive=True, most=math.inf)
        check.number("negative_ttl_seconds", 30, most=math.inf)
        check.number("load_timeout_seconds", 5, positive=True)
        check.number("stale_if_error_seconds", 3600)
        for name in ("wait_timeout_seconds", "soft_timeout_seconds"):
            if getattr(self, name) is not None:
                check.number(name, 0.5)
        check.number("early_refresh_beta", 1, most=1e15)
        check.number("jitter", 0.1, below=1)
        check.whole("max_bytes", 64 * 1024, least=1)
        check.whole("schema_version", 2, least=0)
        check.flag("background")
        check.flag("fail_closed")
        errors = self.stale_errors
        if not isinstance(errors, tuple) or not all(isinstance(e, type) and issubclass(e, Exception) for e in errors):
            raise PolicyError(
                f"stale_errors of policy {self.name!r} must be a tuple of exception types such as (TimeoutError,),"
                f" not {errors!r}"
            )
        if self.soft_timeout_seconds is not None and not self.stale_if_error_seconds:
            raise PolicyError(f"soft_timeout_seconds of policy {self.name!r} needs stale_if_error_seconds, not 0")


def _made(kind: type[Policy[Any]], settings: dict[str, Any]) -> Policy[Any]:
    return kind(**settings)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a client, each with a default for the request path of a web service.

    Args:
        connect_timeout_seconds: for DNS, TCP, TLS and AUTH together. Default 0.2.
        read_timeout_seconds: for a round trip. Default 0.2. One that has to connect first has the longer of the two
            for both.
        probe_interval_seconds: how soon a recovered cache is used again. Default 0.25.
        probe_timeout_seconds: what the request that probes may lose by it, for each step. Default 0.05.
        invalidation_seconds: how long an invalidation is tried before it is pending. Default 1.
        bypass_concurrency: how many loads may go past the cache at once. Default 32.
        bypass_wait_seconds: how long a reader waits for a place among them, before TooManyLoadsError. Default 0.25.
        retry_after_seconds: what TooManyLoadsError suggests. Default 1.
        background: whether this process may do work that no request waits for: probes, and the loads of policies that
            allow it. Never under Lambda: a frozen environment would hold the load's transaction open.
            Default False.
        background_workers: how many such loads at once (threads, in the sync client). Default 4.
        connections: the most connections of an async client; a sync one has one a thread. Default 16.

    Raises:
        PolicyError: a setting that cannot work.
    """

    connect_timeout_seconds: float = 0.2
    read_timeout_seconds: float = 0.2
    probe_interval_seconds: float = 0.25
    probe_timeout_seconds: float = 0.05
    invalidation_seconds: float = 1.0
    bypass_concurrency: int = 32
    bypass_wait_seconds: float = 0.25
    retry_after_seconds: int = 1
    background: bool = False
    background_workers: int = 4
    connections: int = 16

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check = _Check("Options", self)
        for name in (
            "connect_timeout_seconds",
            "read_timeout_seconds",
            "probe_interval_seconds",
            "probe_timeout_seconds",
            "invalidation_seconds",
        ):
            check.number(name, 0.2, positive=True)
        check.number("bypass_wait_seconds", 0.25)
        check.whole("retry_after_seconds", 1, least=0)
        for name in ("bypass_concurrency", "background_workers", "connections"):
            check.whole(name, 16, least=1)
        check.flag("background")


class _Check:
    """Refuses settings of somebody: says which, what was given, and what is allowed."""

    def __init__(self, whose: str, settings: object) -> None:
        self._whose, self._settings = whose, settings

    def number(
        self, name: str, example: float, *, positive: bool = False, most: float = LONGEST_SECONDS, below: float = 0
    ) -> None:
        """Zero or more, or positive; at most ten years of seconds, or below a limit."""
        given = getattr(self._settings, name)
        ends = f" and less than {below}" if below else (f" and at most {most:.0f}" if most < math.inf else "")
        fits = _is_number(given) and (given > 0 if positive else given >= 0) and given <= most
        if not fits or (below and given >= below):
            least = "greater than 0" if positive else "0 or more"
            self._refuse(name, given, f"a number {least}{ends}, such as {example}{_hint(given)}")
        if not isinstance(given, int | float):  # sockets and event loops take no Fraction
            _set(self._settings, name, float(given))

    def whole(self, name: str, example: int, *, least: int) -> None:
        """An int from `least` on."""
        given = getattr(self._settings, name)
        if isinstance(given, bool) or not isinstance(given, int) or given < least:
            self._refuse(name, given, f"an int of at least {least}, such as {example}")

    def flag(self, name: str) -> None:
        """True or False."""
        given = getattr(self._settings, name)
        if not isinstance(given, bool):
            self._refuse(name, given, "True or False")

    def _refuse(self, name: str, given: object, allowed: str) -> None:
        raise PolicyError(f"{name} of {self._whose} must be {allowed}, not {reprlib.repr(given)}")


def _set(settings: object, name: str, value: float) -> None:
    """Set it although its owner is frozen, while that is being made."""
    if isinstance(settings, msgspec.Struct):
        msgspec.structs.force_setattr(settings, name, value)
    else:
        object.__setattr__(settings, name, value)


def _is_number(given: object) -> bool:
    return isinstance(given, Real) and not isinstance(given, bool) and not math.isnan(given)


def _hint(given: object) -> str:
    """How to make seconds of what was given instead."""
    return " (a timedelta's .total_seconds())" if isinstance(given, timedelta) else ""


DEFAULTS = Options()
