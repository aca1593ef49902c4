"""Whom the migration lets in, and to what."""

import json

import psycopg
import pytest

from functions.schema_migration.settings import MigrationError
from local.engines import Postgres
from storefront.passwords import verify_password
from tests.storefront.deployment import OPERATOR, OPERATOR_SECRET, ROLE_PASSWORD, Connection, connect, migrate
from tests.storefront.fake_secrets_manager import FakeSecretsManager

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]


def test_operator_keeps_the_password_it_has(
    database: str, postgres: Postgres, secrets_manager: FakeSecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate()
    changed = json.dumps({**OPERATOR, "password": "another"})
    monkeypatch.setitem(secrets_manager.secrets, OPERATOR_SECRET, changed)
    migrate("Update")
    with connect(postgres, database) as connection:
        rows = connection.execute("SELECT username, password_hash FROM users").fetchall()
    assert [row[0] for row in rows] == ["operator"]
    assert verify_password(OPERATOR["password"], rows[0][1])


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "ALTER TABLE products ADD COLUMN more int",
        "DROP TABLE sessions",
        "TRUNCATE products",
        "UPDATE users SET role = 'operator'",
        "UPDATE inventory SET product_id = 1",
        "UPDATE purchases SET quantity = 1",
        "DELETE FROM purchases",
        "DELETE FROM inventory",
        "INSERT INTO purchases (id) OVERRIDING SYSTEM VALUE VALUES (1)",
        "INSERT INTO flags (name, enabled, rollout_percent) VALUES ('x', true, 100)",
        "DELETE FROM users",
        "UPDATE sessions SET user_id = 1",
        "UPDATE cache_invalidations SET key = 'another'",
        "INSERT INTO cache_invalidations (key, created_at) VALUES ('key', '2000-01-01')",
        "DELETE FROM replayed_servers",
        "SELECT * FROM alembic_version",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE mine",
        "SET ROLE postgres",
    ],
)
def test_app_role_may_not(database: str, postgres: Postgres, statement: str) -> None:
    migrate()
    with (
        connect(postgres, database, user=database, password=ROLE_PASSWORD) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_app_role_without_a_password_may_use_iam_tokens(
    database: str, master: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RDS_PASSWORD")
    with pytest.raises(MigrationError, match='role "rds_iam" does not exist'):
        migrate()
    master.execute("CREATE ROLE rds_iam")
    try:
        migrate()
        members = "SELECT pg_has_role(%s, 'rds_iam', 'MEMBER'), rolpassword FROM pg_authid WHERE rolname = %s"
        assert master.execute(members, [database, database]).fetchone() == (True, None)
    finally:
        master.execute("DROP ROLE rds_iam")
