"""MySQL commits each change of the schema by itself, so a migration must take up what an interrupted one has left."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from tests.storefront.deployment import migrate
from tests.storefront.sql import Connection, SqlEngine, connect

pytestmark = [pytest.mark.engines, pytest.mark.only_on("mysql"), pytest.mark.usefixtures("environment")]

CHANGE = re.compile(r"\s*(CREATE TABLE|CREATE INDEX|ALTER TABLE|(INSERT INTO|UPDATE) alembic_version)")


class PulledPlugError(Exception):
    """Ends a migration."""


@contextmanager
def listening(hear: Callable[[str], None]) -> Iterator[None]:
    """Calls `hear` with each statement that a migration has executed."""

    def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        hear(statement)

    sa.event.listen(sa.Engine, "after_cursor_execute", executed)
    yield
    sa.event.remove(sa.Engine, "after_cursor_execute", executed)


def schema(connection: Connection) -> dict[str, str]:
    tables = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
    made = {table: connection.execute(f'SHOW CREATE TABLE "{table}"').fetchall()[0][1] for table in tables}
    return {table: re.sub(r" AUTO_INCREMENT=\d+", "", statement) for table, statement in made.items()}


def test_migration_ends_with_the_same_schema_wherever_it_was_interrupted(
    database: str, engine: SqlEngine, master: Connection, migrated: object
) -> None:
    done: list[str] = []

    def interrupt_after_each_change(statement: str) -> None:
        if CHANGE.match(statement) and statement not in done:
            done.append(statement)
            raise PulledPlugError

    with listening(interrupt_after_each_change):
        while True:
            before = len(done)
            try:
                migrate()
            except PulledPlugError:
                assert len(done) == before + 1
            else:
                break
    with connect(engine, database) as connection:
        assert schema(connection) == schema(master)
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (100,)
    assert len(done) > len(schema(master))
