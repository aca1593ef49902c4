"""Seals and their secret: it can be rotated, and nobody's session ends or loses its seal by it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from wsgiref.types import WSGIApplication

import httpx
import pytest
import redis

from cache_aside import Relay
from functions.schema_migration.handler import handler
from storefront import policies
from storefront.bootstrap import build_app
from storefront.database import DatabaseUnavailableError
from storefront.entities import Role, Session
from storefront.policies import SEAL_SECONDS
from storefront.seals import BrokenSealError, Seals
from storefront.settings import Settings
from tests.storefront.clients import bearer, log_in, until_cached, wait_until
from tests.storefront.deployment import OPERATOR
from tests.storefront.sql import Connection
from tests.storefront.writes import key_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SESSION = Session(1, "ada", Role.CUSTOMER, NOW + timedelta(hours=8), bytes(32))


class Secrets:
    """A table of secrets, newest first, that counts how often it is read; it may be out of reach."""

    def __init__(self, *secrets: bytes) -> None:
        self.secrets: Sequence[bytes] = secrets
        self.reads = 0
        self.reachable = True

    def __call__(self) -> Sequence[bytes]:
        self.reads += 1
        if not self.reachable:
            raise DatabaseUnavailableError("gone")
        return self.secrets


def test_process_that_has_not_heard_of_a_rotation_opens_what_another_has_sealed_since() -> None:
    table = Secrets(b"old")
    unaware, aware = Seals(table), Seals(table)
    before = unaware.seal(SESSION, now=NOW)
    table.secrets = (b"new", b"old")
    after = aware.seal(SESSION, now=NOW)
    assert after.seal != before.seal
    assert unaware.open(bytes(32), after, now=NOW) == aware.open(bytes(32), before, now=NOW) == SESSION


def test_secret_before_the_last_two_opens_nothing() -> None:
    table = Secrets(b"oldest")
    sealed = Seals(table).seal(SESSION, now=NOW)
    table.secrets = (b"new", b"old")
    with pytest.raises(BrokenSealError):
        Seals(table).open(bytes(32), sealed, now=NOW)


def test_everybody_seals_with_the_new_secret_after_ten_minutes() -> None:
    table = Secrets(b"old")
    seals = Seals(table)
    seals.seal(SESSION, now=NOW)
    table.secrets = (b"new", b"old")
    later = NOW + timedelta(seconds=SEAL_SECONDS)
    sealed = seals.seal(SESSION, now=later)
    table.secrets = (b"new",)
    assert Seals(table).open(bytes(32), sealed, now=later) == SESSION


def test_secrets_are_read_once_while_their_seals_hold() -> None:
    table = Secrets(b"old")
    seals = Seals(table)
    sealed = seals.seal(SESSION, now=NOW)
    for _ in range(5):
        seals.open(bytes(32), sealed, now=NOW)
    assert table.reads == 1


def test_database_that_is_down_when_secrets_are_due_keeps_those_that_are_known() -> None:
    table = Secrets(b"old")
    seals = Seals(table)
    later = NOW + timedelta(seconds=SEAL_SECONDS)
    seals.seal(SESSION, now=NOW)
    sealed = seals.seal(SESSION, now=later - timedelta(seconds=1))
    table.reachable = False
    reads = table.reads
    assert [seals.open(bytes(32), sealed, now=later) for _ in range(3)] == [SESSION] * 3
    assert table.reads == reads + 1, "and is not asked again at once"


@pytest.mark.parametrize("wrong", ["another token", "too old", "another seal"])
def test_entry_that_somebody_else_wrote_is_told_from_one_of_another_release(wrong: str) -> None:
    seals = Seals(Secrets(b"secret"))
    sealed, token_hash, now = seals.seal(SESSION, now=NOW), bytes(32), NOW
    if wrong == "another token":
        token_hash = bytes([1] * 32)
    elif wrong == "too old":
        now += timedelta(seconds=SEAL_SECONDS)
    else:
        sealed = type(sealed)(sealed.body, bytes(32))
    with pytest.raises(BrokenSealError):
        seals.open(token_hash, sealed, now=now)


@pytest.mark.engines
@pytest.mark.every_engine
@pytest.mark.usefixtures("environment")
def test_rotation_ends_no_session_and_breaks_no_seal(
    client: httpx.Client,
    app: WSGIApplication,
    settings: Settings,
    cache: redis.Redis,
    relay: Relay,
    master: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    relay.run_once()
    new_process = build_app(replace(settings))
    with httpx.Client(transport=httpx.WSGITransport(app=new_process), base_url="http://storefront") as other:
        for expected in (2, 2):
            token = log_in(app, OPERATOR)
            wait_until(lambda token=token: status(client, token) == 200 and bool(cache.exists(key_of(token))))  # type: ignore[misc]
            assert handler({"RequestType": "RotateSeal"}, None) == {}
            assert master.execute("SELECT count(*) FROM seal_secrets").fetchone() == (expected,)
            until_cached(other, "/products/1")
            entry = cache.get(key_of(token))
            assert [status(each, token) for each in (client, other)] == [200, 200]
            assert cache.get(key_of(token)) == entry
            new = log_in(new_process, OPERATOR)
            wait_until(lambda new=new: status(other, new) == 200 and bool(cache.exists(key_of(new))))  # type: ignore[misc]
            assert status(client, new) == 200
    assert "seal_broken" not in caplog.text


def status(client: httpx.Client, token: str) -> int:
    return client.get("/sessions/current", headers=bearer(token)).status_code


def test_two_rotations_as_docs_rotation_tells_break_no_seal_and_close_the_leaked_secret() -> None:
    """A process that asked for the secrets just before each rotation is the slowest to learn of it."""
    secrets, ttl = [b"leaked" * 6], policies.SESSION.ttl_seconds
    assert isinstance(ttl, float | int)

    def later(seconds: float) -> datetime:
        return NOW + timedelta(seconds=seconds)

    of_ada = Session(1, "ada", Role.CUSTOMER, later(80_000), b"h" * 32)
    slow, quick, thief = (Seals(lambda: secrets[:2]), Seals(lambda: secrets[:2]), Seals(lambda: [b"leaked" * 6]))
    slow.seal(of_ada, now=later(-1))
    secrets.insert(0, b"second" * 6)
    last = SEAL_SECONDS - 2
    sealed = slow.seal(of_ada, now=later(last))
    assert quick.open(of_ada.token_hash, sealed, now=later(last + ttl)) == of_ada
    assert last + ttl <= 20 * 60, "when its entry is gone"
    slow.seal(of_ada, now=later(20 * 60 - 1))
    secrets.insert(0, b"third" * 6)
    ten_minutes_on = later(20 * 60 + 10 * 60)
    with pytest.raises(BrokenSealError):
        slow.open(of_ada.token_hash, thief.seal(of_ada, now=ten_minutes_on), now=ten_minutes_on)
