"""The migration that a deployment runs, on databases of its own."""

import ast
import itertools
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

import functions.schema_migration
from functions.schema_migration.handler import handler
from functions.schema_migration.settings import MigrationError
from local.engines import Postgres
from storefront.passwords import verify_password
from tests.storefront.conftest import MASTER_PASSWORD, MASTER_SECRET, OPERATOR, OPERATOR_SECRET
from tests.storefront.fake_secrets_manager import FakeSecretsManager

Connection = psycopg.Connection[tuple[Any, ...]]
VERSIONS = Path(functions.schema_migration.__file__).parent / "versions"
_numbers = itertools.count()


@pytest.fixture
def database(master: Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database and an app role of the same name, to which the function is directed."""
    name = f"migration_{next(_numbers)}"
    master.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    monkeypatch.setenv("RDS_DB_NAME", name)
    monkeypatch.setenv("RDS_USER", name)
    yield name
    master.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def connect(postgres: Postgres, database: str, user: str = "postgres", password: str = MASTER_PASSWORD) -> Connection:
    return psycopg.connect(
        host="localhost",
        port=postgres.port,
        dbname=database,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=str(postgres.certificates.ca_file),
        autocommit=True,
    )


def deploy(request_type: str = "Create", *, sample_data: str = "true") -> dict[str, Any]:
    return handler({"RequestType": request_type, "ResourceProperties": {"SampleData": sample_data}}, None)


def test_migration_is_repeatable_and_keeps_its_physical_id(database: str) -> None:
    first = deploy()
    assert first == deploy("Update") == deploy("Update")
    assert first["Data"]["Revision"] == max(path.name[:4] for path in VERSIONS.glob("*.py"))
    assert deploy("Delete")["PhysicalResourceId"] == first["PhysicalResourceId"]


def test_concurrent_migrations_all_succeed(database: str, postgres: Postgres) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = [future.result() for future in [pool.submit(deploy) for _ in range(4)]]
    assert all(answer == answers[0] for answer in answers)
    with connect(postgres, database) as connection:
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (100,)


def test_delete_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RDS_ENDPOINT")
    deploy("Delete")


def test_unknown_newer_revision_is_success_and_left_alone(database: str, postgres: Postgres) -> None:
    deploy()
    with connect(postgres, database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        assert deploy("Update")["Data"]["Revision"] == "9999"
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_sample_data_has_ids_from_1_to_100_and_the_next_is_101(database: str, postgres: Postgres) -> None:
    deploy()
    with connect(postgres, database) as connection:
        ids = connection.execute("SELECT id FROM products ORDER BY id").fetchall()
        assert ids == [(number,) for number in range(1, 101)]
        inserted = connection.execute("INSERT INTO products (name, price) VALUES ('x', 1) RETURNING id").fetchone()
        assert inserted == (101,)


def test_deleted_sample_data_stays_deleted(database: str, postgres: Postgres) -> None:
    deploy()
    with connect(postgres, database) as connection:
        connection.execute("DELETE FROM products")
        deploy("Update")
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (0,)


def test_no_sample_data_where_the_stage_does_not_say_so(database: str, postgres: Postgres) -> None:
    deploy(sample_data="false")
    with connect(postgres, database) as connection:
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (0,)


def test_operator_keeps_the_password_it_has(
    database: str, postgres: Postgres, secrets_manager: FakeSecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy()
    changed = json.dumps({**OPERATOR, "password": "another"})
    monkeypatch.setitem(secrets_manager.secrets, OPERATOR_SECRET, changed)
    deploy("Update")
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
        "UPDATE users SET password_hash = ''",
        "INSERT INTO users (username, password_hash) VALUES ('x', 'x')",
        "DELETE FROM users",
        "UPDATE sessions SET user_id = 1",
        "SELECT * FROM alembic_version",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE mine",
        "SET ROLE postgres",
    ],
)
def test_app_role_may_not(database: str, postgres: Postgres, statement: str) -> None:
    deploy()
    with (
        connect(postgres, database, user=database, password="a-role-password") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


def test_app_role_without_a_password_may_use_iam_tokens(
    database: str, master: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RDS_PASSWORD")
    with pytest.raises(MigrationError, match='role "rds_iam" does not exist'):
        deploy()
    master.execute("CREATE ROLE rds_iam")
    try:
        deploy()
        members = "SELECT pg_has_role(%s, 'rds_iam', 'MEMBER'), rolpassword FROM pg_authid WHERE rolname = %s"
        assert master.execute(members, [database, database]).fetchone() == (True, None)
    finally:
        master.execute("DROP ROLE rds_iam")


def test_failure_leaves_the_database_as_it_was(
    database: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RDS_PASSWORD")
    with pytest.raises(MigrationError):
        deploy()
    with connect(postgres, database) as connection:
        tables = connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'")
        assert tables.rowcount == 0


def test_failed_statement_is_told_without_its_values(database: str, postgres: Postgres) -> None:
    with connect(postgres, database) as connection:
        connection.execute("CREATE TABLE products (other int)")
    with pytest.raises(MigrationError, match=r'^schema migration: relation "products" already exists$'):
        deploy()


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (json.dumps({"username": "postgres", "password": "not-the-pässword"}), "password authentication failed"),
        (json.dumps({"username": "postgres"}), "the secret arn:master is not JSON with username and password"),
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
    with pytest.raises(MigrationError, match=re.escape(reason)) as raised:
        deploy()
    assert "not-the-p" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "name", ["RDS_ENDPOINT", "RDS_DB_NAME", "RDS_USER", "RDS_MASTER_SECRET_ARN", "OPERATOR_SECRET_ARN"]
)
def test_missing_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(MigrationError, match=f"the environment variable {name} is not set"):
        deploy()


def test_revisions_only_expand() -> None:
    """What a release before this one uses must stay as it is: see the docstring of revisions.py."""
    allowed = {"create_table", "add_column", "create_index"}
    for path in VERSIONS.glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        used = {call.attr for call in calls if isinstance(call, ast.Attribute) and ast.unparse(call.value) == "op"}
        assert used <= allowed, path.name
