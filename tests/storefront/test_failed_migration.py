"""A migration that fails says why, and changes nothing."""

import json
import re

import pytest

from functions.schema_migration.settings import MigrationError
from tests.storefront.deployment import MASTER_SECRET, migrate
from tests.storefront.fake_secrets_manager import FakeSecretsManager
from tests.storefront.sql import MASTER, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]


SESSIONS_IS_TAKEN = re.compile(
    r"""^schema migration: (relation "sessions" already exists|'[a-z0-9_]+.sessions' is not of type 'BASE TABLE')$"""
)


@pytest.mark.only_on("postgres")
def test_failure_leaves_the_database_as_it_was(
    database: str, engine: SqlEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RDS_PASSWORD")
    with pytest.raises(MigrationError):
        migrate()
    with connect(engine, database) as connection:
        tables = connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'")
        assert tables.rowcount == 0


def test_failed_statement_is_told_without_its_values(database: str, engine: SqlEngine) -> None:
    with connect(engine, database) as connection:
        connection.execute("CREATE VIEW sessions AS SELECT 1")
    with pytest.raises(MigrationError, match=SESSIONS_IS_TAKEN):
        migrate()


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (
            json.dumps({"username": MASTER, "password": "not-the-pässword"}),
            "password authentication failed|Access denied for user",
        ),
        (json.dumps({"username": MASTER}), "the secret arn:master is not JSON with username and password"),
        ("not-the-pässword", "the secret arn:master is not JSON with username and password"),
        ("[]", "the secret arn:master is not JSON with username and password"),
        (None, "cannot read the secret arn:master: AccessDeniedException"),
    ],
)
def test_unusable_secret_is_a_readable_reason_without_the_secret(
    secrets_manager: FakeSecretsManager, monkeypatch: pytest.MonkeyPatch, secret: str | None, reason: str
) -> None:
    monkeypatch.delitem(secrets_manager.secrets, MASTER_SECRET)
    if secret is not None:
        monkeypatch.setitem(secrets_manager.secrets, MASTER_SECRET, secret)
    with pytest.raises(MigrationError, match=reason) as raised:
        migrate()
    assert "not-the-p" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "name",
    [
        "RDS_ENDPOINT",
        "RDS_DB_NAME",
        "RDS_USER",
        "RDS_MASTER_SECRET_ARN",
        "OPERATOR_SECRET_ARN",
        "ELASTICACHE_ENDPOINT",
    ],
)
def test_missing_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(MigrationError, match=f"the environment variable {name} is not set"):
        migrate()
