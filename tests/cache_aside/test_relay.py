"""The relay delivers what is pending, repeats what a failover may have lost, and stops at no row that is refused."""

import logging
import threading
import time
from typing import Never

import pytest

from cache_aside import CacheAside, Event, Relay, RelayReport, Replicas
from faults import relaying
from faults.fake_server import FakeServer
from faults.outbox_table import Table
from faults.relaying import SERVER, PickyCache
from tests.cache_aside.harness import Counted, FakeTransport


class Heard:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def on_event(self, policy: str, event: str, seconds: float) -> None:
        self.events.append(event)


def known(*keys: str) -> Table:
    """An outbox of a server that needs no replay."""
    table = Table(*keys)
    table.outbox.record_replayed(SERVER)
    return table


server = FakeServer(lambda: 0.0)


def relay(table: Table, *, cut: bool = False) -> RelayReport:
    transport = Counted(FakeTransport(server))
    transport.cut = cut
    return Relay(CacheAside(transport), table.outbox).run_once()


def test_pending_deletions_are_delivered_and_marked() -> None:
    table = known("product:1", "product:2")
    server.put("product:1", b"old")
    assert relay(table) == RelayReport(delivered=2)
    assert server.peek("product:1") is None
    assert relay(table) == RelayReport()


def test_nothing_is_marked_while_the_cache_cannot_be_reached() -> None:
    table = known("product:1")
    assert relay(table, cut=True) == RelayReport(reachable=False)
    assert table.undelivered() == ["product:1"]
    assert table.quarantined() == {}


def test_every_recent_deletion_is_repeated_once_on_a_new_replication_history() -> None:
    table = Table("product:1", "product:2")
    table.outbox.mark_delivered([1, 2])
    server.put("product:1", b"the replica had not heard of its deletion")
    assert relay(table) == RelayReport(replayed=2)
    assert server.peek("product:1") is None
    assert relay(table) == RelayReport()


def test_many_rows_are_delivered_in_batches() -> None:
    assert relay(known(*(f"product:{number}" for number in range(1200)))) == RelayReport(delivered=1200)


@pytest.mark.parametrize("kind", ["refuses", "cannot_send"])
def test_rows_that_are_refused_hold_up_no_other(kind: str) -> None:
    good = [f"product:{number}" for number in range(798)]
    bad = ["other:1", "other:2"]
    table = known(good[0], bad[0], *good[1:500], bad[1], *good[500:])
    cache = PickyCache(**{kind: bad})
    assert Relay(cache, table.outbox).run_once() == RelayReport(delivered=798, quarantined=2)
    assert cache.deleted == good
    assert table.undelivered() == bad
    assert cache.calls < 60, "halves, not one by one"


def test_refused_row_is_told_on_each_run_and_retried_only_when_due() -> None:
    table, cache, heard = known("other:1"), PickyCache(["other:1"]), Heard()
    made = Relay(cache, table.outbox, observer=heard)
    for _ in range(3):
        assert made.run_once() == RelayReport(quarantined=1)
    assert (cache.calls, heard.events) == (1, [Event.QUARANTINED] * 3)
    table.wait_out_quarantine()
    made.run_once()
    assert table.quarantined() == {"other:1": 2}
    cache.refuses.clear()
    table.wait_out_quarantine()
    assert made.run_once() == RelayReport(delivered=1)
    assert cache.deleted == ["other:1"]


def test_observer_that_fails_ends_no_run() -> None:
    class Broken:
        def on_event(self, policy: str, event: str, seconds: float) -> None:
            raise ZeroDivisionError

    table, cache = known("other:1"), PickyCache(["other:1"])
    assert Relay(cache, table.outbox, observer=Broken()).run_once().quarantined == 1


def test_refusal_is_logged_once_with_its_reason_and_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    table = known("other:somebody@example.com", "other:2")
    made = Relay(PickyCache(["other:somebody@example.com"], ["other:2"]), table.outbox)
    for _ in range(3):
        made.run_once()
        table.wait_out_quarantine()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 2
    assert "rows [1]" in told[0]
    assert "No permissions to access a key" in told[0]
    assert "UnicodeEncodeError" in told[1]
    assert "somebody" not in caplog.text
    assert "a secret" not in caplog.text


def test_deletion_that_a_new_server_refuses_to_repeat_is_pending_again_and_never_forgotten() -> None:
    table = Table("product:1", "other:1")
    table.outbox.mark_delivered([1, 2])
    cache = PickyCache(["other:1"])
    made = Relay(cache, table.outbox, window_seconds=-3600)  # so that a marked row is removed at once
    assert made.run_once() == RelayReport(replayed=1, quarantined=1)
    assert table.undelivered() == ["other:1"]


def test_server_is_trusted_only_when_nothing_that_a_failover_lost_is_left() -> None:
    table = Table("product:1", "other:1")
    cache = PickyCache(["other:1"])
    made = Relay(cache, table.outbox)
    for _ in range(3):
        assert made.run_once().quarantined == 1
        assert not table.outbox.is_replayed(SERVER)
    assert cache.deleted.count("product:1") == 2, "delivered, and repeated once: not again on each run"
    cache.refuses.clear()
    table.wait_out_quarantine()
    assert made.run_once().quarantined == 0
    assert table.outbox.is_replayed(SERVER)


def test_no_deletion_is_lost_when_an_exception_ends_the_run_at_any_step() -> None:
    assert relaying.wrong() == ""


def test_relay_in_a_thread_goes_on_after_failures_and_logs_an_outage_once(caplog: pytest.LogCaptureFixture) -> None:
    table = known("product:1")
    failures = iter(range(3))
    purge = table.outbox.purge
    runs = 0

    def fail_thrice(window_seconds: int) -> None:
        nonlocal runs
        runs += 1
        if next(failures, None) is not None:
            raise OSError("the database is gone")
        purge(window_seconds)

    table.outbox.purge = fail_thrice  # type: ignore[method-assign]
    stopped = threading.Event()
    cache = PickyCache()
    thread = threading.Thread(
        target=Relay(cache, table.outbox).run_until, args=[stopped], kwargs={"period_seconds": 0.005}
    )
    thread.start()
    while runs < 6:
        time.sleep(0.005)
    stopped.set()
    thread.join()
    assert caplog.text.count("fails and tries again") == 1
    assert caplog.text.count("works again") == 1


def test_invalidation_that_raises_for_the_whole_cache_quarantines_nothing() -> None:
    class Gone(PickyCache):
        def invalidate(self, *keys: str, replicas: Replicas = Replicas.PRIMARY) -> Never:
            from cache_aside import CacheUnavailableError

            raise CacheUnavailableError("gone")

    table = known("product:1")
    assert Relay(Gone(), table.outbox).run_once() == RelayReport(reachable=False)
    assert table.quarantined() == {}
