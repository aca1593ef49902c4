"""The OpenTelemetry observer, read back by the SDK's exporters in memory."""

import time
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from cache_aside import CacheAside, Event, Options, Policy
from cache_aside.otel import OpenTelemetry
from faults.fake_server import FakeServer
from tests.cache_aside.harness import Counted, FakeTransport

NUMBER = Policy(name="number", value_type=int, ttl_seconds=60, early_refresh_beta=0)


class Site:
    """A client whose observer exports into memory."""

    def __init__(self, *, spans: bool = True) -> None:
        self._reader, self._exporter = InMemoryMetricReader(), InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider(metric_readers=[self._reader])
        self.observer = OpenTelemetry(meter_provider=meters, tracer_provider=self.tracers, spans=spans)
        self.transport = Counted(FakeTransport(FakeServer(time.time)))
        options = Options(invalidation_seconds=0.01)
        self.cache = CacheAside(self.transport, options=options, observer=self.observer)

    def spans(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """Of one instrument: how often, by attributes."""
        data = self._reader.get_metrics_data()
        assert data is not None
        metrics: list[Any] = [
            m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name
        ]
        return {
            tuple(sorted((point.attributes or {}).items())): getattr(point, "count", None) or point.value
            for metric in metrics
            for point in metric.data.data_points
        }


def fail() -> int:
    raise ZeroDivisionError


def test_reads_loads_and_deletions_are_measured_by_policy_and_outcome() -> None:
    site = Site()
    for _ in range(3):
        site.cache.get_or_load("number:secret", lambda: 1, policy=NUMBER)
    site.cache.invalidate("number:secret")
    with pytest.raises(ZeroDivisionError):
        site.cache.get_or_load("number:secret", fail, policy=NUMBER)
    site.transport.cut = True
    site.cache.invalidate("number:secret")

    number = ("cache_aside.policy", "number")
    reads = site.points("cache_aside.read.duration")
    assert reads == {(number, ("cache_aside.served", "MISS")): 1, (number, ("cache_aside.served", "HIT")): 2}
    assert site.points("cache_aside.load.duration") == {(number,): 1, (number, ("error.type", "_OTHER")): 1}
    assert site.points("cache_aside.invalidation.duration") == {
        (("cache_aside.outcome", "confirmed"),): 1,
        (("cache_aside.outcome", "pending"),): 1,
    }


def test_spans_are_children_of_the_current_one_and_last_as_long_as_what_they_tell_of() -> None:
    site = Site()
    with site.tracers.get_tracer("app").start_as_current_span("request") as request:
        site.cache.get_or_load("number:secret", lambda: time.sleep(0.02) or 1, policy=NUMBER)  # type: ignore[func-returns-value]
        site.observer.on_event("number", Event.LOAD_ERROR, 0.5)
    load, read, failed, _ = site.spans()
    assert [span.name for span in (load, read, failed)] == ["load number", "get_or_load number", "load number"]
    assert {span.parent.span_id for span in (load, read, failed)} == {request.get_span_context().span_id}
    assert read.end_time - read.start_time >= load.end_time - load.start_time >= 20_000_000
    assert dict(read.attributes)["db.system.name"] == "redis"
    assert [span.status.status_code for span in (load, failed)] == [StatusCode.UNSET, StatusCode.ERROR]


def test_other_events_are_counted_and_no_key_is_told() -> None:
    site = Site()
    site.observer.on_event("", Event.QUARANTINED, 0.0)
    site.observer.on_event("number", Event.TOO_LARGE, 0.0)
    site.cache.get_or_load("number:secret", lambda: 1, policy=NUMBER)
    site.cache.invalidate("number:secret")
    assert site.points("cache_aside.events") == {
        (("cache_aside.event", "QUARANTINED"),): 1,
        (("cache_aside.event", "TOO_LARGE"), ("cache_aside.policy", "number")): 1,
    }
    assert not [span for span in site.spans() if "secret" in span.to_json()]


def test_metrics_alone_make_no_spans() -> None:
    site = Site(spans=False)
    site.cache.get_or_load("number:1", lambda: 1, policy=NUMBER)
    assert site.spans() == []
    assert len(site.points("cache_aside.read.duration")) == 1
