"""What a deployment does to flags, and how soon it is seen."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import redis

from cache_aside import Relay
from functions.schema_migration import flags
from functions.schema_migration.settings import MigrationError
from local.engines import Valkey
from tests.storefront.clients import until_cached
from tests.storefront.deployment import AUTH_SECRET, migrate
from tests.storefront.fake_secrets_manager import FakeSecretsManager
from tests.storefront.sql import Connection, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

OFF, HALF, ON = ({"enabled": percent > 0, "rollout_percent": percent} for percent in (0, 50, 100))
Deploy = Callable[..., None]


@pytest.fixture
def deploy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: httpx.Client) -> Deploy:
    """Deploys a release whose file declares these flags."""
    monkeypatch.setattr(flags, "FILE", tmp_path / "flags.json")

    def run(**declared: object) -> None:
        flags.FILE.write_text(json.dumps(declared))
        migrate("Update")

    return run


@pytest.fixture
def recorded(master: Connection) -> Callable[[], list[tuple[str, bool]]]:
    """The outbox rows of flags since the last call: key, and whether it is delivered."""
    seen = [0]

    def rows() -> list[tuple[str, bool]]:
        statement = """SELECT id, "key", delivered_at IS NOT NULL FROM cache_invalidations
                       WHERE id > %s AND "key" LIKE 'flag:%%' ORDER BY id"""
        found = master.execute(statement, seen).fetchall()
        seen[0] = found[-1][0] if found else seen[0]
        return [(key, bool(delivered)) for _, key, delivered in found]

    rows()
    return rows


def served(client: httpx.Client, name: str) -> tuple[int, str]:
    answer = client.get(f"/flags/{name}")
    return answer.json()["rollout_percent"], answer.headers["X-Cache"]


def test_flag_that_a_deployment_changed_is_seen_by_the_next_request_and_others_stay_cached(
    client: httpx.Client, deploy: Deploy, recorded: Callable[[], list[tuple[str, bool]]]
) -> None:
    deploy(changes=OFF, stays=HALF)
    for name in ("changes", "stays"):
        client.get(f"/flags/{name}")
    assert (served(client, "changes"), served(client, "stays")) == ((0, "HIT"), (50, "HIT"))
    recorded()
    deploy(changes=ON, stays=HALF)
    assert recorded() == [("flag:changes", True)]
    assert (served(client, "changes"), served(client, "stays")) == ((100, "MISS"), (50, "HIT"))


def test_new_flag_is_seen_although_its_absence_was_cached(client: httpx.Client, deploy: Deploy) -> None:
    assert client.get("/flags/brand-new").status_code == 404
    deploy(**{"brand-new": ON})
    assert served(client, "brand-new") == (100, "MISS")


def test_operators_change_outlives_deployments_that_do_not_touch_the_flag(
    operator: httpx.Client, deploy: Deploy, recorded: Callable[[], list[tuple[str, bool]]]
) -> None:
    deploy(tuned=OFF)
    operator.put("/flags/tuned", json=HALF)
    recorded()
    deploy(tuned=OFF, another=OFF)
    assert recorded() == [("flag:another", True)]
    assert served(operator, "tuned")[0] == 50
    deploy(tuned=ON, another=OFF)
    assert served(operator, "tuned") == (100, "MISS")


def test_deployment_of_what_an_operator_has_set_already_changes_nothing(
    operator: httpx.Client, deploy: Deploy, recorded: Callable[[], list[tuple[str, bool]]]
) -> None:
    deploy(agreed=OFF)
    operator.put("/flags/agreed", json=ON)
    operator.get("/flags/agreed")
    recorded()
    deploy(agreed=ON)
    assert recorded() == []
    assert served(operator, "agreed") == (100, "HIT")
    deploy(agreed=OFF)
    assert served(operator, "agreed") == (0, "MISS")


def test_flag_that_is_declared_no_longer_stays_as_it_is(client: httpx.Client, deploy: Deploy) -> None:
    deploy(retired=HALF)
    deploy()
    assert served(client, "retired")[0] == 50


def test_deployment_without_the_cache_succeeds_and_the_relay_delivers(
    client: httpx.Client,
    deploy: Deploy,
    recorded: Callable[[], list[tuple[str, bool]]],
    valkey: Valkey,
    cache: redis.Redis,
    relay: Relay,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deploy(late=OFF)
    client.get("/flags/late")
    before = cache.get("flag:late")
    assert isinstance(before, bytes)
    recorded()
    valkey.kill()
    deploy(late=ON)
    assert "flag:late" in caplog.text
    assert "the relay" in caplog.text
    assert recorded() == [("flag:late", False)]
    valkey.start()
    cache.set("flag:late", before, px=60_000)
    assert relay.run_once().delivered >= 1
    until_cached(client, "/products/1")
    assert served(client, "late") == (100, "MISS")


def test_deployment_that_may_not_read_the_auth_token_succeeds_and_says_so(
    deploy: Deploy,
    recorded: Callable[[], list[tuple[str, bool]]],
    secrets_manager: FakeSecretsManager,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delitem(secrets_manager.secrets, AUTH_SECRET)
    deploy(unread=ON)
    assert "the AUTH token could not be read" in caplog.text
    assert recorded() == [("flag:unread", False)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "flags.json: Expecting property name"),
        ("[]", "flags.json: expected an object of flags by name"),
        ('{"a": 1}', "flags.json: flag 'a': Expected `object`, got `int`"),
        ('{"Big": {"enabled": true, "rollout_percent": 1}}', "flags.json: flag 'Big': Expected `str` matching regex"),
        ('{"a": {"enabled": true}}', "flags.json: flag 'a': Object missing required field `rollout_percent`"),
        ('{"a": {"enabled": "yes", "rollout_percent": 1}}', "flag 'a': Expected `bool`, got `str` - at `$.enabled`"),
        (
            '{"a": {"enabled": true, "rollout_percent": 101}}',
            "flag 'a': Expected `int` <= 100 - at `$.rollout_percent`",
        ),
        ('{"a": {"enabled": true, "rollout_percent": 1, "x": 1}}', "flag 'a': Object contains unknown field `x`"),
        ('{"a": {"enabled": true, "rollout_percent": 1}, "a": {}}', "flags.json: declared twice: a"),
    ],
)
def test_malformed_file_fails_the_deployment_before_it_touches_anything(
    database: str, engine: SqlEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(flags, "FILE", tmp_path / "flags.json")
    flags.FILE.write_text(text)
    with pytest.raises(MigrationError) as failed:
        migrate()
    assert reason in str(failed.value)
    with connect(engine, database) as connection:
        assert connection.tables() == set()
