"""The SQL engines of fixtures that start one: `@pytest.fixture(params=SQL_ENGINES)`. See conftest.py."""

import pytest

NAMES = ("postgres", "mysql")
SQL_ENGINES = [pytest.param(name, marks=pytest.mark.runs_on(name)) for name in NAMES]
