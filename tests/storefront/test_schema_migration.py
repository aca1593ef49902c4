"""The schema that a deployment makes, on databases of its own."""

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import functions.schema_migration
from tests.storefront.deployment import migrate
from tests.storefront.sql import SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

VERSIONS = Path(functions.schema_migration.__file__).parent / "versions"


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


def test_revisions_only_expand() -> None:
    """What a release before this one uses must stay as it is: see the docstring of revisions.py."""
    allowed = {"create_table", "add_column", "create_index"}
    for path in VERSIONS.glob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        used = {call.attr for call in calls if isinstance(call, ast.Attribute) and ast.unparse(call.value) == "op"}
        assert used <= allowed, path.name
