"""Tokens that expire and connections that AWS would end: a user stays logged in, and no read notices."""

from typing import Any

import pytest
import redis

from cache_aside import Credentials, Options, Policy, Served
from faults.proxy import FaultProxy
from tests.cache_aside.faults.conftest import Connect
from tests.cache_aside.harness import Cache

pytestmark = pytest.mark.engines

USER, KEY = "the-app", "number:1"
TOKEN_SECONDS, CONNECTION_SECONDS = 600.0, 11 * 3600.0
NUMBER = Policy(name="number", value_type=int, ttl_seconds=600, early_refresh_beta=0)
PATIENT = Options(connect_timeout_seconds=5, read_timeout_seconds=5, invalidation_seconds=10)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Tokens:
    """Signs tokens, of which the server takes only the one that was named last. Counts what it costs."""

    def __init__(self, operator: redis.Redis) -> None:
        self._operator = operator
        self.signed: list[str] = []
        self.take("first")

    def take(self, token: str) -> None:
        """From now on nobody logs in with another token; who is logged in stays so."""
        self._token = token
        self._operator.acl_setuser(
            USER, enabled=True, keys=["*"], commands=["+@all"], passwords=[f"+{token}"], reset_passwords=True
        )
        self._operator.config_resetstat()

    def sign(self) -> str:
        self.signed.append(self._token)
        return self._token

    def calls(self, command: str) -> tuple[int, int]:
        """How often it was sent since the token changed, and how often it failed."""
        statistics: dict[str, Any] = self._operator.info("commandstats").get(f"cmdstat_{command}", {})
        return statistics.get("calls", 0), statistics.get("failed_calls", 0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(operator: redis.Redis) -> Tokens:
    return Tokens(operator)


@pytest.fixture
def cache(connect: Connect, tokens: Tokens, clock: Clock) -> Cache:
    """A client with one open connection that has read once."""
    credentials = Credentials(
        tokens.sign, clock, username=USER, token_seconds=TOKEN_SECONDS, connection_seconds=CONNECTION_SECONDS
    )
    made = connect(auth_token=credentials, options=PATIENT)
    assert read(made) is Served.MISS
    assert tokens.calls("auth") == (1, 0)
    return made


def read(cache: Cache) -> Served:
    return cache.get_or_load(KEY, lambda: 1, policy=NUMBER).served


def test_open_connection_authenticates_again_once_and_in_time(
    cache: Cache, tokens: Tokens, clock: Clock, proxy: FaultProxy
) -> None:
    tokens.take("second")
    clock.now += CONNECTION_SECONDS - 1
    assert [read(cache) for _ in range(5)] == [Served.HIT] * 5
    assert (tokens.calls("auth"), tokens.calls("get")) == ((0, 0), (5, 0))
    clock.now += 1
    assert [read(cache) for _ in range(5)] == [Served.HIT] * 5
    assert (tokens.calls("auth"), tokens.calls("get")) == ((1, 0), (10, 0))
    clock.now += CONNECTION_SECONDS
    assert read(cache) is Served.HIT
    assert tokens.calls("auth") == (2, 0)
    assert tokens.signed == ["first", "second", "second"]
    assert proxy.accepted == 1


def test_deletion_on_an_old_connection_authenticates_first(
    cache: Cache, tokens: Tokens, clock: Clock, proxy: FaultProxy
) -> None:
    tokens.take("second")
    clock.now += CONNECTION_SECONDS
    assert cache.invalidate(KEY).confirmed
    assert (tokens.calls("auth"), tokens.calls("del")) == ((1, 0), (1, 0))
    assert proxy.accepted == 1


def test_new_connections_share_a_token_until_it_is_about_to_expire(
    cache: Cache, tokens: Tokens, clock: Clock, proxy: FaultProxy
) -> None:
    clock.now += TOKEN_SECONDS - 1
    proxy.reset_connections()
    assert read(cache) is Served.HIT
    assert tokens.signed == ["first"]
    tokens.take("second")
    clock.now += 1
    proxy.reset_connections()
    assert read(cache) is Served.HIT
    assert tokens.calls("auth") == (1, 0)
    assert tokens.signed == ["first", "second"]
    assert proxy.accepted == 3


def test_token_refused_on_an_open_connection_is_replaced_and_no_read_notices(
    connect: Connect, tokens: Tokens, clock: Clock, proxy: FaultProxy
) -> None:
    credentials = Credentials(tokens.sign, clock, username=USER, connection_seconds=CONNECTION_SECONDS)
    cache = connect(auth_token=credentials, options=PATIENT)
    assert read(cache) is Served.MISS
    tokens.take("second")
    clock.now += CONNECTION_SECONDS
    assert [read(cache) for _ in range(3)] == [Served.HIT] * 3
    assert tokens.calls("auth") == (2, 1)
    assert tokens.signed == ["first", "second"]
    assert proxy.accepted == 2
