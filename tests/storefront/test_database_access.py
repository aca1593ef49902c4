"""Whom the migration lets in, and to what."""

import json
import re

import psycopg
import pymysql
import pytest

from functions.schema_migration.settings import MigrationError
from storefront.passwords import verify_password
from tests.storefront.deployment import OPERATOR, OPERATOR_SECRET, ROLE_PASSWORD, migrate
from tests.storefront.fake_secrets_manager import FakeSecretsManager
from tests.storefront.sql import MASTER, Connection, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]


def test_operator_keeps_the_password_it_has(
    database: str, engine: SqlEngine, secrets_manager: FakeSecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate()
    changed = json.dumps({**OPERATOR, "password": "another"})
    monkeypatch.setitem(secrets_manager.secrets, OPERATOR_SECRET, changed)
    migrate("Update")
    with connect(engine, database) as connection:
        rows = connection.execute("SELECT username, password_hash FROM users").fetchall()
    assert [row[0] for row in rows] == ["operator"]
    assert verify_password(OPERATOR["password"], rows[0][1])


# What the servers say to someone without the right: to a database, a table, a column, or of an administrator.
REFUSED = re.compile("permission denied|must be owner|(1044|1142|1143|1227), ")


def assert_refused(engine: SqlEngine, role: str, statement: str) -> None:
    with (
        connect(engine, role, user=role, password=ROLE_PASSWORD) as connection,
        pytest.raises((psycopg.Error, pymysql.Error), match=REFUSED),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "ALTER TABLE products ADD COLUMN more int",
        "DROP TABLE sessions",
        "TRUNCATE products",
        "UPDATE users SET username = 'another'",
        "UPDATE inventory SET product_id = 1",
        "UPDATE purchases SET quantity = 1",
        "DELETE FROM purchases",
        "DELETE FROM inventory",
        "INSERT INTO flags (name, enabled, rollout_percent) VALUES ('x', true, 100)",
        "DELETE FROM users",
        "UPDATE seal_secrets SET id = 2",
        "UPDATE sessions SET user_id = 1",
        "UPDATE cache_invalidations SET \"key\" = 'another'",
        "INSERT INTO cache_invalidations (\"key\", created_at) VALUES ('key', '2000-01-01')",
        "DELETE FROM replayed_servers",
        "SELECT * FROM alembic_version",
    ],
)
def test_app_role_may_not(database: str, engine: SqlEngine, statement: str) -> None:
    migrate()
    assert_refused(engine, database, statement)


@pytest.mark.only_on("postgres")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO purchases (id) OVERRIDING SYSTEM VALUE VALUES (1)",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE mine",
        f"SET ROLE {MASTER}",
    ],
)
def test_app_role_of_postgres_may_not(database: str, engine: SqlEngine, statement: str) -> None:
    migrate()
    assert_refused(engine, database, statement)


@pytest.mark.only_on("mysql")
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO purchases (id) VALUES (1)",
        "SELECT 1 INTO OUTFILE '/tmp/out'",
        "CREATE USER mine",
        "GRANT SELECT ON products TO mine",
        "SET GLOBAL general_log = ON",
        "SELECT authentication_string FROM mysql.user",
    ],
)
def test_app_role_of_mysql_may_not(database: str, engine: SqlEngine, statement: str) -> None:
    migrate()
    assert_refused(engine, database, statement)


@pytest.mark.only_on("postgres")
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


@pytest.mark.only_on("mysql")
def test_app_role_of_mysql_without_a_password_may_use_iam_tokens(
    database: str, master: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RDS_PASSWORD")
    with pytest.raises(MigrationError, match="Plugin 'AWSAuthenticationPlugin' is not loaded"):
        migrate()
    assert master.execute("SELECT 1 FROM mysql.user WHERE user = %s", [database]).fetchall() == []


@pytest.mark.only_on("mysql")
def test_app_role_of_mysql_logs_in_over_tls_only(database: str, master: Connection) -> None:
    migrate()
    row = master.execute("SELECT host, ssl_type FROM mysql.user WHERE user = %s", [database]).fetchone()
    assert row == ("%", "ANY")
