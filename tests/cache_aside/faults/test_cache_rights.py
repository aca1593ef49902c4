"""Role-based access on a real server: the app's user can do what the app does, and nothing else."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
import redis

from cache_aside import AsyncCacheAside, CacheAside, Credentials, Options, Policy, Relay, RelayReport, Replicas, Served
from cache_aside.connection import BARRIER_KEY
from constructs_lib import access_string
from faults.outbox_table import Table
from faults.replication import ReplicationGroup, client_of
from local.tls import ensure_certificates
from stacks.cache_rights import COMMANDS, KEY_PATTERNS
from storefront.entities import Product, SealedSession
from storefront.policies import KEY_PREFIXES, PRODUCT, SESSION, product_key, session_key
from tests.cache_aside.conftest import tls_of
from tests.cache_aside.harness import Cache, OnLoop

pytestmark = pytest.mark.engines

USER, PASSWORD = "the-app", "a-password-in-place-of-an-iam-token"
PATIENT = Options(connect_timeout_seconds=5, read_timeout_seconds=5, invalidation_seconds=10)
CHAIR = Product(1, "Chair", Decimal("19.90"), 1)
DUE = Policy(name="due", value_type=int, ttl_seconds=600, early_refresh_beta=1e9)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicationGroup]:
    """A primary and its replica. The primary knows the app's user by exactly the rules that the templates give it."""
    directory = tmp_path_factory.mktemp("rights")
    with ReplicationGroup(directory, ensure_certificates(directory / "tls")) as made, client_of(made.primary) as admin:
        rules = access_string(COMMANDS, KEY_PATTERNS).split()
        run(admin, "ACL", "SETUSER", USER, "reset", *rules, f">{PASSWORD}")
        yield made


@pytest.fixture
def operator(group: ReplicationGroup) -> Iterator[redis.Redis]:
    """Somebody with every right, on an empty server that counts and logs anew."""
    with client_of(group.primary) as connected:
        connected.flushall()
        connected.config_resetstat()
        connected.acl_log_reset()
        yield connected


@pytest.fixture(params=["sync", "async"])
def cache(request: pytest.FixtureRequest, group: ReplicationGroup, operator: redis.Redis) -> Iterator[Cache]:
    """What the app has, logged in as its user."""
    client = CacheAside if request.param == "sync" else AsyncCacheAside

    def build() -> CacheAside | AsyncCacheAside:
        return client.connect(
            "localhost",
            group.endpoint.port,
            auth_token=Credentials(lambda: PASSWORD, username=USER),
            tls=tls_of(group.primary),
            is_replayed=lambda _: True,
            options=PATIENT,
        )

    made: Cache = build() if request.param == "sync" else OnLoop(build)  # type: ignore[assignment,arg-type]
    yield made
    made.close()


@pytest.fixture
def app_user(group: ReplicationGroup, operator: redis.Redis) -> Iterator[redis.Redis]:
    """Somebody at a prompt with the app's credentials."""
    operator.set("other:1", "untouched")
    node = group.primary
    authority = str(node.certificates.ca_file)
    with redis.Redis(
        port=node.port, username=USER, password=PASSWORD, ssl=True, ssl_ca_certs=authority, protocol=2, driver_info=None
    ) as connected:
        yield connected
    assert operator.get("other:1") == b"untouched"


def run(client: redis.Redis, *command: str | int) -> object:
    """Send exactly this."""
    send: Callable[..., object] = client.execute_command
    return send(*command)


def a_session() -> SealedSession:
    return SealedSession(b"", b"")


def test_prefixes_that_the_user_may_touch_are_those_of_the_policies() -> None:
    assert set(KEY_PATTERNS) == {*(f"{prefix}*" for prefix in KEY_PREFIXES), BARRIER_KEY}


def test_app_does_all_that_it_does_and_uses_every_right_it_has(cache: Cache, operator: redis.Redis) -> None:
    one, two = product_key(1), product_key(2)
    assert [cache.get_or_load(one, lambda: CHAIR, policy=PRODUCT).served for _ in range(2)] == [Served.MISS, Served.HIT]
    found = cache.get_many_or_load([one, two], lambda keys: dict.fromkeys(keys, CHAIR), policy=PRODUCT)
    assert [found[key].served for key in (one, two)] == [Served.HIT, Served.MISS]
    assert cache.get_or_load(session_key(b"1"), a_session, policy=SESSION).served is Served.MISS
    assert [cache.get_or_load(product_key(3), lambda: 3, policy=DUE).served for _ in range(2)] == [Served.MISS] * 2
    operator.psetex(two, 60_000, "not an envelope")  # SET would count as one of the app's
    assert cache.get_or_load(two, lambda: CHAIR, policy=PRODUCT).served is Served.MISS
    assert cache.invalidate(one, two).confirmed
    assert cache.invalidate(session_key(b"1"), replicas=Replicas.ALL).confirmed
    assert cache.available()
    assert len(cache.replication_id()) == 40
    assert operator.acl_log() == []
    used = {name.removeprefix("cmdstat_") for name in operator.info("commandstats")}
    assert set(COMMANDS) <= used


def test_load_that_fails_gives_back_its_lease(cache: Cache, operator: redis.Redis) -> None:
    def fail() -> Product:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cache.get_or_load(product_key(1), fail, policy=PRODUCT)
    assert operator.keys() == []
    assert operator.acl_log() == []


def test_relay_delivers_and_replays(cache: Cache, operator: redis.Redis) -> None:
    for key in (product_key(1), session_key(b"1")):
        operator.set(key, "obsolete")
    table = Table(product_key(1), session_key(b"1"))
    assert Relay(cache, table.outbox).run_once() == RelayReport(delivered=2, replayed=2)
    assert operator.keys() == []
    assert operator.acl_log() == []


@pytest.mark.parametrize(
    "command",
    [
        "ACL LIST",
        "ACL SETUSER the-app allkeys",
        "ACL WHOAMI",
        "CLIENT KILL TYPE normal",
        "CLIENT LIST",
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "COPY other:1 product:1",
        "DBSIZE",
        "DEL other:1",
        "DEL product:1 other:1",
        "DUMP product:1",
        "EVAL return(1) 1 other:1",
        "EXPIRE product:1 1",
        "FAILOVER",
        "FLUSHALL",
        "FLUSHDB",
        "FUNCTION LIST",
        "GET other:1",
        "GET cache_aside:other",
        "GET products:1",
        "KEYS *",
        "MGET product:1 other:1",
        "MIGRATE localhost 1 product:1 0 1",
        "MODULE LIST",
        "MONITOR",
        "MULTI",
        "PING",
        "PUBLISH channel message",
        "RANDOMKEY",
        "RENAME product:1 other:1",
        "REPLICAOF NO ONE",
        "SAVE",
        "SCAN 0",
        "SCRIPT FLUSH",
        "SELECT 1",
        "SET other:1 changed",
        "SET product changed",
        "SHUTDOWN NOSAVE",
        "SLOWLOG GET",
        "SUBSCRIBE channel",
        "SWAPDB 0 1",
    ],
)
def test_everything_else_is_refused(app_user: redis.Redis, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        run(app_user, *command.split())


def test_debugging_is_refused(app_user: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="not allowed"):  # the server says so before it looks at rights
        run(app_user, "DEBUG", "SLEEP", 0)


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('GET', 'other:1')",
        "return redis.call('SET', 'other:1', 'changed')",
        "return redis.call('SET', 'other:' .. ARGV[1], 'changed')",
        "return redis.call('FLUSHALL')",
        "return redis.call('KEYS', '*')",
    ],
)
def test_scripts_may_do_no_more_than_their_caller(app_user: redis.Redis, script: str) -> None:
    with pytest.raises(redis.ResponseError, match="ACL failure in script"):
        run(app_user, "EVAL", script, 1, "product:1", "1")


def test_password_of_another_user_lets_nobody_in_as_the_app(group: ReplicationGroup, operator: redis.Redis) -> None:
    node = group.primary
    authority = str(node.certificates.ca_file)
    with (
        redis.Redis(
            port=node.port, username=USER, password=node.auth_token, ssl=True, ssl_ca_certs=authority
        ) as connected,
        pytest.raises(redis.AuthenticationError),
    ):
        connected.get("product:1")


def test_deletion_without_the_right_is_refused_at_once_and_not_confirmed(cache: Cache, operator: redis.Redis) -> None:
    for replicas in Replicas:
        outcome = cache.invalidate("product:1", "other:1", replicas=replicas)
        assert (outcome.confirmed, outcome.refused) == (False, True)
        assert outcome.reason.startswith("NOPERM")
    assert len(operator.acl_log()) == 1, "asked once each, not until the deadline"
    assert operator.acl_log()[0]["count"] == 2
    operator.acl_log_reset()
