"""The relay delivers what is pending, and repeats what a failover may have lost."""

from collections.abc import Collection, Sequence

from cache_aside import CacheAside, OutboxRow, Relay, RelayReport
from faults.fake_server import FakeServer
from tests.cache_aside.harness import Counted, FakeTransport


class FakeOutbox:
    """An outbox in memory; every row is recent."""

    def __init__(self, *keys: str) -> None:
        self.rows = [OutboxRow(number, key) for number, key in enumerate(keys)]
        self.delivered: set[int] = set()
        self.replayed = {"a" * 40}

    def undelivered(self, limit: int) -> Sequence[OutboxRow]:
        return [row for row in self.rows if row.id not in self.delivered][:limit]

    def mark_delivered(self, ids: Collection[int]) -> None:
        self.delivered |= set(ids)

    def recent_keys(self) -> Sequence[str]:
        return [row.key for row in self.rows]

    def is_replayed(self, replication_id: str) -> bool:
        return replication_id in self.replayed

    def record_replayed(self, replication_id: str) -> None:
        self.replayed.add(replication_id)


server = FakeServer(lambda: 0.0)


def relay(outbox: FakeOutbox, *, cut: bool = False) -> RelayReport:
    transport = Counted(FakeTransport(server))
    transport.cut = cut
    return Relay(CacheAside(transport), outbox).run_once()


def test_pending_deletions_are_delivered_and_marked() -> None:
    outbox = FakeOutbox("product:1", "product:1", "product:2")
    server.put("product:1", b"old")
    assert relay(outbox) == RelayReport(delivered=3)
    assert server.peek("product:1") is None
    assert relay(outbox) == RelayReport()


def test_nothing_is_marked_while_the_cache_cannot_be_reached() -> None:
    outbox = FakeOutbox("product:1")
    assert relay(outbox, cut=True) == RelayReport(reachable=False)
    assert not outbox.delivered


def test_every_recent_deletion_is_repeated_once_on_a_new_replication_history() -> None:
    outbox = FakeOutbox("product:1", "product:2")
    outbox.delivered, outbox.replayed = {0, 1}, set()
    server.put("product:1", b"the replica had not heard of its deletion")
    assert relay(outbox) == RelayReport(replayed=2)
    assert server.peek("product:1") is None
    assert relay(outbox) == RelayReport()


def test_many_rows_are_delivered_in_batches() -> None:
    outbox = FakeOutbox(*(f"product:{number}" for number in range(1200)))
    assert relay(outbox) == RelayReport(delivered=1200)
