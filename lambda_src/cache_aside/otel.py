"""Metrics and spans by OpenTelemetry, as an observer: `pip install cache-aside[otel]`.

    cache = CacheAside.connect(host, observer=OpenTelemetry())

Keys are in none of them, as they may name people; the policy's name stands for all keys of a type.
"""

import time

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from cache_aside.observe import Event
from cache_aside.results import Served

_READS = frozenset(Served)
_LOADS = frozenset({Event.LOAD, Event.LOAD_ERROR})
_INVALIDATIONS = frozenset({Event.CONFIRMED, Event.PENDING})


class OpenTelemetry:
    """Counts and times what a client does.

    | instrument | unit | attributes |
    |---|---|---|
    | histogram `cache_aside.read.duration` | s | `cache_aside.policy`, `cache_aside.served` |
    | histogram `cache_aside.load.duration` | s | `cache_aside.policy`, and `error.type` of a load that failed |
    | histogram `cache_aside.invalidation.duration` | s | `cache_aside.outcome`: confirmed, pending |
    | counter `cache_aside.events` | {event} | `cache_aside.policy`, `cache_aside.event`: the other members of `Event` |

    Reads, loads and invalidations are spans as well, children of the one that is current when they end; they carry the
    same attributes, and `db.system.name` where they talk to the cache.

    Args:
        meter_provider: default: the global one.
        tracer_provider: default: the global one.
        spans: False for metrics alone. Default True.

    Source: https://opentelemetry.io/docs/specs/semconv/ for the names' form, `error.type`, `db.system.name` and units.
    """

    def __init__(
        self,
        *,
        meter_provider: metrics.MeterProvider | None = None,
        tracer_provider: trace.TracerProvider | None = None,
        spans: bool = True,
    ) -> None:
        meter = metrics.get_meter("cache_aside", meter_provider=meter_provider)
        self._tracer = trace.get_tracer("cache_aside", tracer_provider=tracer_provider) if spans else None
        self._reads = meter.create_histogram("cache_aside.read.duration", "s", "How long reads take, loads included")
        self._loads = meter.create_histogram("cache_aside.load.duration", "s", "How long loaders take")
        self._invalidations = meter.create_histogram(
            "cache_aside.invalidation.duration", "s", "How long deletions take"
        )
        self._events = meter.create_counter("cache_aside.events", "{event}", "What else happened")

    def on_event(self, policy: str, event: str, seconds: float) -> None:
        """See `Observer`."""
        of_policy = {"cache_aside.policy": policy}
        cache = {"db.system.name": "redis"}
        if event in _READS:
            told = of_policy | {"cache_aside.served": str(event)}
            self._reads.record(seconds, told)
            self._span(f"get_or_load {policy}", seconds, told | cache)
        elif event in _LOADS:
            failed = event == Event.LOAD_ERROR
            told = of_policy | ({"error.type": "_OTHER"} if failed else {})
            self._loads.record(seconds, told)
            self._span(f"load {policy}", seconds, told, failed=failed)
        elif event in _INVALIDATIONS:
            told = {"cache_aside.outcome": event.lower()}
            self._invalidations.record(seconds, told)
            self._span("invalidate", seconds, told | cache, failed=event == Event.PENDING)
        else:
            self._events.add(1, {**(of_policy if policy else {}), "cache_aside.event": str(event)})

    def _span(self, name: str, seconds: float, attributes: dict[str, str], *, failed: bool = False) -> None:
        if self._tracer is None:
            return
        end = time.time_ns()
        kind = SpanKind.CLIENT if "db.system.name" in attributes else SpanKind.INTERNAL
        begin = end - round(seconds * 1e9)
        span = self._tracer.start_span(name, kind=kind, attributes=attributes, start_time=begin)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)
