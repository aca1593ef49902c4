"""An observer for AWS: CloudWatch embedded metrics (EMF), a JSON line now and then, and no AWS package."""

import os
import sys
import threading
import time
import weakref
from collections import defaultdict
from typing import TextIO

import msgspec

_MOST_VALUES = 100  # of one metric in one document, by the specification


class EmbeddedMetrics:
    """An observer that writes a line for each policy when `interval_seconds` have passed since the last, or on `flush`.

    It has no thread, which Lambda would freeze: the event that finds the interval over writes. Call `flush` at the end
    of an invocation that must not keep its counts.

    Args:
        namespace: of the metrics. Default "CacheAside".
        interval_seconds: default 10.
        stream: default standard output, which Lambda ships.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """

    def __init__(
        self, namespace: str = "CacheAside", *, interval_seconds: float = 10.0, stream: TextIO | None = None
    ) -> None:
        self._namespace, self._interval, self._stream = namespace, interval_seconds, stream
        self._lock = threading.Lock()
        self._counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._timings: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._written = time.monotonic()
        _made.add(self)

    def after_fork(self) -> None:
        """In the child: a thread of the parent may have held the lock, and what was counted is the parent's."""
        self._lock = threading.Lock()
        self._counts.clear()
        self._timings.clear()

    def on_event(self, policy: str, event: str, seconds: float) -> None:
        """Count the event; keep the first hundred timings of an interval."""
        with self._lock:
            self._counts[policy][event] += 1
            timings = self._timings[policy][event]
            if seconds and len(timings) < _MOST_VALUES:
                timings.append(round(seconds * 1000, 3))
            due = time.monotonic() - self._written >= self._interval
        if due:
            self.flush()

    def flush(self) -> None:
        """Write what has been counted since the last time."""
        with self._lock:
            counts, timings = self._counts.copy(), self._timings.copy()
            self._counts.clear()
            self._timings.clear()
            self._written = time.monotonic()
        lines = [self._line(policy, events, timings[policy]) for policy, events in counts.items()]
        if lines:
            (self._stream or sys.stdout).write("".join(lines))

    def _line(self, policy: str, counts: dict[str, int], timings: dict[str, list[float]]) -> str:
        values: dict[str, int | list[float]] = dict(counts)
        values |= {f"{event}_TIME": measured for event, measured in timings.items() if measured}
        metrics = [
            {"Name": name, "Unit": "Milliseconds" if name.endswith("_TIME") else "Count"} for name in sorted(values)
        ]
        directive = {"Namespace": self._namespace, "Dimensions": [["Policy"]], "Metrics": metrics}
        head = {"_aws": {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]}}
        return msgspec.json.encode(head | {"Policy": policy or "none"} | values).decode() + "\n"


_made: "weakref.WeakSet[EmbeddedMetrics]" = weakref.WeakSet()


def _after_fork() -> None:
    for metrics in tuple(_made):
        metrics.after_fork()


os.register_at_fork(after_in_child=_after_fork)
