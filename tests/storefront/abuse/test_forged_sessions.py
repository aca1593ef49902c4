"""Whoever can write to the cache does not become somebody else by it."""

import secrets
import time
from collections.abc import Callable
from wsgiref.types import WSGIApplication

import httpx
import msgspec
import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cache_aside import Relay
from storefront.entities import SealedSession
from storefront.policies import SESSION
from tests.storefront.clients import bearer, log_in, wait_until
from tests.storefront.deployment import OPERATOR
from tests.storefront.writes import key_of

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


def current(client: httpx.Client, token: str) -> httpx.Response:
    return client.get("/sessions/current", headers=bearer(token))


@pytest.fixture
def cached(client: httpx.Client, app: WSGIApplication, cache: redis.Redis, relay: Relay) -> str:
    """The token of an operator's session, which is cached."""
    relay.run_once()
    token = log_in(app, OPERATOR)
    wait_until(lambda: current(client, token).is_success and bool(cache.exists(key_of(token))))
    return token


@pytest.mark.attack(
    "copy a cached session under one's own token",
    "401: what is cached names the hash of its token, under an HMAC whose secret the cache never sees",
)
def test_copy_under_the_hash_of_a_chosen_token_lets_nobody_in(
    client: httpx.Client, cached: str, cache: redis.Redis
) -> None:
    chosen = secrets.token_urlsafe(32)
    assert cache.copy(key_of(cached), key_of(chosen))
    assert current(client, chosen).status_code == 401
    assert client.post("/products", json={"name": "x", "price": 1}, headers=bearer(chosen)).status_code == 401


def test_sealed_session_in_an_envelope_for_a_chosen_token_lets_nobody_in(
    client: httpx.Client, cached: str, cache: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = secrets.token_urlsafe(32)
    cache.set(key_of(chosen), envelope(chosen, content(cache, cached)), px=60_000)
    assert current(client, chosen).status_code == 401
    # On a busy machine a read may go past the cache, and then the entry is still there.
    wait_until(lambda: current(client, chosen).status_code == 401 and not cache.exists(key_of(chosen)))
    assert client.post("/products", json={"name": "x", "price": 1}, headers=bearer(chosen)).status_code == 401
    assert "seal_broken" in caplog.text
    assert chosen not in caplog.text


@pytest.mark.attack(
    "write `operator` into one's own cached session", "the HMAC does not hold, and the database is asked"
)
def test_customer_who_writes_operator_into_their_cached_session_stays_a_customer(
    client: httpx.Client, app: WSGIApplication, cache: redis.Redis, relay: Relay, new_user: Callable[[], dict[str, str]]
) -> None:
    relay.run_once()
    token = log_in(app, new_user())
    wait_until(lambda: current(client, token).is_success and bool(cache.exists(key_of(token))))
    sealed = msgspec.json.decode(content(cache, token), type=SealedSession)
    forged = msgspec.structs.replace(sealed, body=sealed.body.replace(b'"customer"', b'"operator"'))
    assert forged != sealed
    cache.set(key_of(token), envelope(token, msgspec.json.encode(forged)), px=60_000)
    assert current(client, token).json()["role"] == "customer"
    assert client.post("/products", json={"name": "x", "price": 1}, headers=bearer(token)).status_code == 403


def content(cache: redis.Redis, token: str) -> bytes:
    """The JSON of the token's cached session, without the library's envelope."""
    raw = cache.get(key_of(token))
    assert isinstance(raw, bytes)
    return raw[raw.index(b"{") :]


def envelope(token: str, content: bytes) -> bytes:
    """A value as the library writes it under the key of that token; without content, "there is none"."""
    return SESSION.codec.seal(key_of(token), content, expires=time.time() + 60, load_seconds=0.001)


HUGE = b'{"user_id":18446744073709551616,"username":"a","role":"operator","expires_at":"2099-01-01T00:00:00Z"}'
YEAR_1 = b'{"user_id":1,"username":"a","role":"operator","expires_at":"0001-01-01T00:00:00+23:59"}'
sessions = st.sampled_from([HUGE, YEAR_1, b'{"session":%b}' % HUGE, b'{"session":%b}' % YEAR_1]) | st.binary()
contents = st.one_of(
    st.just(b""),
    st.binary(),
    st.builds(lambda body, seal: msgspec.json.encode({"body": body, "seal": seal}), sessions, st.binary(max_size=40)),
    st.builds(lambda session: b'{"session":%b,"seal":"AAAA"}' % session, st.sampled_from([HUGE, YEAR_1])),
)
# What a key may hold: an envelope with some content, a piece of one, or any bytes but a lease, which is waited for.
entries = st.tuples(st.booleans(), contents, st.integers(0, 200))


@pytest.mark.attack(
    "write any bytes under the key of a session (300 generated entries)",
    "the database is asked, as if the cache were empty; nothing is decoded before the HMAC holds",
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries)
@example((True, b'{"session":%b,"seal":"AAAA"}' % HUGE, 0))
@example((True, b'{"session":%b,"seal":"AAAA"}' % YEAR_1, 0))
@example((True, b"", 0))
def test_any_bytes_under_the_key_of_a_session_are_as_good_as_none(
    client: httpx.Client, cached: str, cache: redis.Redis, entry: tuple[bool, bytes, int]
) -> None:
    enveloped, inner, cut = entry
    raw = envelope(cached, inner) if enveloped else inner
    cache.set(key_of(cached), raw[: len(raw) - cut], px=60_000)
    answers = [current(client, cached) for _ in range(2)]
    assert [(answer.status_code, answer.json()["username"]) for answer in answers] == [(200, "operator")] * 2


@pytest.mark.parametrize("command", ["RPUSH", "SADD"])
def test_key_of_a_session_that_holds_no_string_is_as_good_as_none(
    client: httpx.Client, cached: str, cache: redis.Redis, command: str
) -> None:
    cache.delete(key_of(cached))
    cache.execute_command(command, key_of(cached), "x")  # type: ignore[no-untyped-call]
    assert [current(client, cached).status_code for _ in range(2)] == [200, 200]
    cache.delete(key_of(cached))


def test_session_that_is_cached_still_asks_the_database_nothing(
    recorded: httpx.Client, cached: str, statements: list[str]
) -> None:
    current(recorded, cached)
    statements.clear()
    assert current(recorded, cached).is_success
    assert statements == []
