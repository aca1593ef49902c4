"""The SQL engines of fixtures that start one: `@pytest.fixture(params=SQL_ENGINES)`. See conftest.py."""

import pytest

from local.engines import MariaDB, Postgres

KINDS: dict[str, type[Postgres | MariaDB]] = {"postgres": Postgres, "mysql": MariaDB}
NAMES = tuple(KINDS)
SQL_ENGINES = [pytest.param(name, marks=pytest.mark.runs_on(name)) for name in NAMES]
