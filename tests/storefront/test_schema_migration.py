"""The schema that a deployment makes, on databases of its own."""

import ast
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import functions.schema_migration
from local.engines import Postgres
from tests.storefront.deployment import ROLE_PASSWORD, migrate
from tests.storefront.sql import SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

VERSIONS = Path(functions.schema_migration.__file__).parent / "versions"
RELEASED = Path(__file__).parent / "released_revisions.sha256"


def test_migration_is_repeatable_and_keeps_its_physical_id(database: str) -> None:
    first = migrate()
    assert first == migrate("Update") == migrate("Update")
    assert first["Data"]["Revision"] == max(path.name[:4] for path in VERSIONS.glob("*.py"))
    assert migrate("Delete")["PhysicalResourceId"] == first["PhysicalResourceId"]


def test_concurrent_migrations_all_succeed(database: str, engine: SqlEngine) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = [future.result() for future in [pool.submit(migrate) for _ in range(4)]]
    assert all(answer == answers[0] for answer in answers)
    with connect(engine, database) as connection:
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (100,)


def test_delete_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RDS_ENDPOINT")
    migrate("Delete")


def test_unknown_newer_revision_is_success_and_left_alone(database: str, engine: SqlEngine) -> None:
    migrate()
    with connect(engine, database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        assert migrate("Update")["Data"]["Revision"] == "9999"
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_sample_data_has_ids_from_1_to_100_and_the_next_is_101(database: str, engine: SqlEngine) -> None:
    migrate()
    with connect(engine, database) as connection:
        ids = connection.execute("SELECT id FROM products ORDER BY id").fetchall()
        assert ids == [(number,) for number in range(1, 101)]
        assert connection.insert("INSERT INTO products (name, price) VALUES ('x', 1)") == 101


def test_deleted_sample_data_stays_deleted(database: str, engine: SqlEngine) -> None:
    migrate()
    with connect(engine, database) as connection:
        connection.execute("DELETE FROM products")
        migrate("Update")
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (0,)


def test_sample_products_have_stock_and_two_thousand_purchases_once(database: str, engine: SqlEngine) -> None:
    migrate()
    migrate("Update")
    with connect(engine, database) as connection:
        stocked = connection.execute("SELECT count(*), min(available), max(available) FROM inventory").fetchone()
        assert stocked == (100, 100, 100)
        assert connection.execute("SELECT count(*) FROM purchases").fetchone() == (2000,)


def test_sample_sales_come_to_products_that_a_release_without_them_has_left(database: str, engine: SqlEngine) -> None:
    migrate()
    with connect(engine, database) as connection:
        for gone in ("DELETE FROM purchases", "DELETE FROM inventory", "DELETE FROM products WHERE id > 10"):
            connection.execute(gone)
        migrate("Update")
        assert connection.execute("SELECT count(*) FROM inventory").fetchone() == (10,)
        assert connection.execute("SELECT count(DISTINCT product_id) FROM purchases").fetchone() == (10,)


def test_no_sample_data_where_the_stage_does_not_say_so(database: str, engine: SqlEngine) -> None:
    migrate(sample_data="false")
    with connect(engine, database) as connection:
        for rows in ("SELECT id FROM products", "SELECT available FROM inventory", "SELECT id FROM purchases"):
            assert connection.execute(rows).fetchall() == []


def test_names_are_told_apart_to_the_letter(database: str, engine: SqlEngine) -> None:
    migrate()
    names = ["someone", "Someone", "someone ", "s\N{LATIN SMALL LETTER O WITH DIAERESIS}meone"]
    with connect(engine, database) as connection:
        for name in names:
            connection.execute("INSERT INTO flags (name, enabled, rollout_percent) VALUES (%s, true, 0)", [name])
        for name in names:
            found = connection.execute("SELECT name FROM flags WHERE name = %s", [name])
            assert found.fetchall() == [(name,)]


def test_database_at_0004_gets_the_seal_secret_and_users_without_a_role(database: str, engine: SqlEngine) -> None:
    """With the column as 0003 made it before users could be without a role."""
    migrate()
    with connect(engine, database) as connection:
        connection.execute("DROP TABLE IF EXISTS seal_secrets")
        connection.execute("UPDATE alembic_version SET version_num = '0004'")
        required = "MODIFY role varchar(20) NOT NULL DEFAULT 'customer'"
        if isinstance(engine, Postgres):
            required = "ALTER COLUMN role SET NOT NULL"
        connection.execute(f"ALTER TABLE users {required}")
        migrate("Update")
        connection.execute("INSERT INTO users (username, password_hash, role) VALUES ('disabled', '', NULL)")
        connection.execute("INSERT INTO users (username, password_hash) VALUES ('new', '')")
        roles = connection.execute("SELECT role FROM users WHERE username IN ('disabled', 'new') ORDER BY username")
        assert roles.fetchall() == [(None,), ("customer",)]
    with connect(engine, database, user=database, password=ROLE_PASSWORD) as app:
        ((secret,),) = app.execute("SELECT secret FROM seal_secrets").fetchall()
        assert len(secret) == 32


def test_revisions_only_expand() -> None:
    """What a release before this one uses must stay as it is: see the docstring of revisions.py."""
    allowed = {"op.create_table", "op.add_column", "op.create_index", "op.alter_column"}
    for path in VERSIONS.glob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        operations = [call for call in calls if ast.unparse(call.func).startswith("op.")]
        assert {ast.unparse(call.func) for call in operations} <= allowed, path.name
        for call in operations:
            if ast.unparse(call.func) == "op.alter_column":
                words = {word.arg: ast.unparse(word.value) for word in call.keywords}
                new = {name: value for name, value in words.items() if not str(name).startswith("existing_")}
                assert new == {"nullable": "True"}, path.name


def test_released_revision_never_changes() -> None:
    """Databases that have it would not get the change."""
    released = {name: digest for digest, name in map(str.split, RELEASED.read_text().splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VERSIONS.glob("*.py")}
    changed = sorted(name for name in released if found.get(name) != released[name])
    assert not changed, (
        f"{changed} changed after being released: restore them, and make the change in a new revision, "
        f"such as {len(released) + 1:04}_what_it_adds.py"
    )
    missing = [f"{found[name]}  {name}" for name in sorted(found.keys() - released.keys())]
    assert not missing, f"new revisions: add to {RELEASED.name}, and edit no other line:\n" + "\n".join(missing)
