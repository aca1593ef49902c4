"""A failover loses acknowledged deletions; what that may and may not do."""

import dataclasses
import time
from collections.abc import Iterator

import pytest

from cache_aside import CacheAside, Options, Policy, Relay, Replicas, Served, SqlOutbox
from faults.outbox_table import Table
from faults.replication import AUTH_TOKEN, ReplicationGroup, client_of
from local.tls import ensure_certificates
from tests.cache_aside.conftest import tls_of

pytestmark = pytest.mark.engines
PRODUCT = Policy(name="product", value_type=int, ttl_seconds=600, early_refresh_beta=0)
SESSION = dataclasses.replace(PRODUCT, name="session", fail_closed=True)


def delivered() -> SqlOutbox:
    """Two recent rows, both delivered."""
    outbox = Table("product:1", "session:1").outbox
    outbox.mark_delivered([row.id for row in outbox.undelivered(2)])
    return outbox


@pytest.fixture
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicationGroup]:
    directory = tmp_path_factory.mktemp("group")
    with ReplicationGroup(directory, ensure_certificates(directory / "tls")) as made:
        yield made


def connect(group: ReplicationGroup, outbox: SqlOutbox) -> CacheAside:
    return CacheAside.connect(
        "localhost",
        group.endpoint.port,
        auth_token=AUTH_TOKEN,
        tls=tls_of(group.primary),
        is_replayed=outbox.is_replayed,
        options=Options(probe_interval_seconds=0.05),
    )


def test_failover_that_lost_deletions_fools_no_session_and_products_only_until_the_replay(
    group: ReplicationGroup,
) -> None:
    outbox = delivered()
    cache = connect(group, outbox)
    relay = Relay(cache, outbox)
    relay.run_once()
    cache.get_or_load("product:1", lambda: 1, policy=PRODUCT)
    cache.get_or_load("session:1", lambda: 1, policy=SESSION)
    assert cache.invalidate("product:2", replicas=Replicas.ALL).confirmed, "what was filled has reached the replica"

    group.lose_replication()
    assert cache.invalidate("product:1", "session:1").confirmed
    group.fail_over()

    assert cache.get_or_load("session:1", lambda: 2, policy=SESSION).served is Served.BYPASS
    while (product := cache.get_or_load("product:1", lambda: 2, policy=PRODUCT)).served is Served.BYPASS:
        pass
    assert product.value == 1, "the promoted replica never heard of the deletion"
    assert cache.get_or_load("session:1", lambda: 2, policy=SESSION).served is Served.BYPASS

    assert relay.run_once().replayed == 2
    assert cache.get_or_load("product:1", lambda: 2, policy=PRODUCT).value == 2
    assert connect(group, outbox).get_or_load("session:1", lambda: 2, policy=SESSION).served is Served.MISS


def test_deletion_on_every_replica_is_pending_until_the_replicas_have_it(group: ReplicationGroup) -> None:
    cache = connect(group, delivered())
    cache.get_or_load("session:1", lambda: 1, policy=PRODUCT)
    assert cache.invalidate("session:1", replicas=Replicas.ALL).confirmed

    cache.get_or_load("session:1", lambda: 1, policy=PRODUCT)
    with client_of(group.primary) as primary, client_of(group.replica) as replica:
        while not replica.exists("session:1"):
            time.sleep(0.01)
        group.lose_replication()
        for _ in ("first", "repeated, when the key is gone from the primary and a DEL would write nothing"):
            assert cache.invalidate("session:1", replicas=Replicas.ALL).pending
            assert (primary.exists("session:1"), replica.exists("session:1")) == (0, 1)


def test_former_primary_is_not_read_once_it_is_a_replica(group: ReplicationGroup) -> None:
    cache = connect(group, delivered())
    cache.get_or_load("product:1", lambda: 1, policy=PRODUCT)
    group.endpoint.retarget(group.replica.port)
    served = {cache.get_or_load("product:1", lambda: 2, policy=PRODUCT).served for _ in range(3)}
    assert served == {Served.BYPASS}
