"""What is cached, for how long, and what may be served when something is broken: one policy per data type.

And what a client may cost: `Options`, the same for the sync and the async one.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from cache_aside.envelope import Codec, schema_id
from cache_aside.errors import LoadUnavailableError, PolicyError

T = TypeVar("T")
_LONGEST_SECONDS = 10 * 365 * 24 * 3600.0


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
        """How long this value may be served as a HIT, jitter taken off; zero or less: it is not cached."""
        if value is None:
            ttl = self.negative_ttl_seconds
        else:
            ttl = self.ttl_seconds(value) if callable(self.ttl_seconds) else self.ttl_seconds
        ttl = min(ttl, _LONGEST_SECONDS)
        return ttl * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, guards nothing

    def stale_seconds(self, value: T | None) -> float:
        """How long past its lifetime this value is kept as a stand-in. That there is none is not worth keeping."""
        return 0.0 if value is None else self.stale_if_error_seconds

    def _validate(self) -> None:
        positive = ["load_timeout_seconds", "max_bytes"]
        positive += ["ttl_seconds"] if not callable(self.ttl_seconds) else []
        not_negative = ["negative_ttl_seconds", "early_refresh_beta", "stale_if_error_seconds"]
        not_negative += [n for n in ("wait_timeout_seconds", "soft_timeout_seconds") if getattr(self, n) is not None]
        for name in positive:
            if not getattr(self, name) > 0:
                raise PolicyError(f"{name} of policy {self.name!r} must be greater than 0, not {getattr(self, name)!r}")
        for name in not_negative:
            if not getattr(self, name) >= 0:
                raise PolicyError(f"{name} of policy {self.name!r} must be 0 or more, not {getattr(self, name)!r}")
        if not 0 <= self.jitter < 1:
            raise PolicyError(f"jitter of policy {self.name!r} must be at least 0 and less than 1, not {self.jitter!r}")
        if self.soft_timeout_seconds is not None and not self.stale_if_error_seconds:
            raise PolicyError(f"soft_timeout_seconds of policy {self.name!r} needs stale_if_error_seconds, not 0")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a client, each with a default for the request path of a web service.

    Args:
        connect_timeout_seconds: for DNS, TCP, TLS and AUTH together. Default 0.2.
        read_timeout_seconds: for a round trip. Default 0.2.
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


DEFAULTS = Options()
