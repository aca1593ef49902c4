"""The catalogue and the purchases that `make seed` adds."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString

import pytest

from cache_aside import Dialect
from functions.schema_migration.migration import migrate
from functions.schema_migration.sample_sales import Priced, sell
from functions.schema_migration.settings import Login, Settings
from local.seed import main, plant
from local.tls import Certificates
from storefront.cache_login import AuthToken
from storefront.database import Database, Parameters, Row
from storefront.endpoints import Endpoint
from storefront.engines import driver_of
from tests.sql_engines import KINDS, SQL_ENGINES

PASSWORD = "the-master-password-of-this-test"


class Paper:
    """A connection to a database that has a user and writes down what it is told."""

    dialect: Dialect = "postgresql"
    failed = False

    def __init__(self) -> None:
        self.statements: list[str] = []

    def rows(self, statement: LiteralString, parameters: Parameters) -> list[Row]:
        """The user's id."""
        return [(1,)]

    def change(self, statement: LiteralString, parameters: Parameters) -> int:
        """Notes it."""
        self.statements.append(statement)
        return 0

    def insert(self, statement: LiteralString, parameters: Parameters) -> int:
        """Not asked for."""
        raise NotImplementedError

    def cursor(self) -> AbstractContextManager[Any]:
        """Not asked for."""
        raise NotImplementedError

    def closed(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing to do."""


@pytest.fixture(scope="module", params=SQL_ENGINES)
def migrated(request: pytest.FixtureRequest, module_home: Path, certificates: Certificates) -> Iterator[Database]:
    """A migrated database without sample data, as the master user meets it."""
    kind = KINDS[request.param]
    engine = kind(module_home / request.param, master_password=PASSWORD, database="shop", certificates=certificates)
    engine.start()
    endpoint, login = Endpoint("localhost", engine.port), Login(username=engine.master_username, password=PASSWORD)
    settings = Settings(
        engine=request.param,
        endpoint=endpoint,
        database="shop",
        app_role="app",
        master_secret_arn="",
        operator_secret_arn="",
        cache=Endpoint("localhost", 1),  # nobody is there: what is undelivered is for the relay
        cache_login=AuthToken(""),
        app_password="p",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RDS_CA_FILE", str(certificates.ca_file))
        migrate(settings, master=login, operator=Login(username="operator", password="p"), sample_data=False)
        connection = driver_of(request.param).connect(
            endpoint, database="shop", user=login.username, password=PASSWORD, statement_timeout_seconds=60
        )
    yield Database(lambda: connection)
    engine.stop()


@pytest.fixture
def database(migrated: Database) -> Database:
    """The migrated database, empty again."""
    migrated.write("DELETE FROM purchases")
    migrated.write("DELETE FROM inventory")
    migrated.write("DELETE FROM products")
    migrated.write("DELETE FROM cache_invalidations")
    return migrated


def count(database: Database, table: LiteralString) -> int:
    """How many rows it has."""
    how_many: LiteralString = "SELECT COUNT(*)"
    return int(database.read(f"{how_many} FROM {table}")[0][0])


def written(seed: int) -> list[str]:
    """The statements of ten thousand sales of a hundred products."""
    paper = Paper()
    sell(paper, [Priced(number, Decimal("1.50")) for number in range(1, 101)], 10_000, seed=seed)
    return paper.statements


def test_same_seed_is_the_same_sales_and_another_one_is_not() -> None:
    assert written(1) == written(1) != written(2)


@pytest.mark.engines
def test_few_products_sell_most_and_progress_is_told(database: Database) -> None:
    told: list[int] = []
    assert plant(database, 200, 25_000, seed=1, progress=told.append)
    assert told == [10_000, 20_000, 25_000]
    assert [count(database, table) for table in ("products", "inventory", "purchases")] == [200, 200, 25_000]
    rows = database.read("SELECT product_id, SUM(quantity) FROM purchases GROUP BY product_id")
    units: Counter[int] = Counter({product_id: int(sold) for product_id, sold in rows})
    first, second, third, *_ = [sold for _, sold in units.most_common()]
    assert len(units) == 200
    # Zipf: half as much, a third as much; the top 1 % (two of 200) have a quarter of all.
    assert 1.7 < first / second < 2.3
    assert 2.5 < first / third < 3.5
    assert 0.22 < (first + second) / units.total() < 0.29


@pytest.mark.engines
def test_second_run_adds_nothing(database: Database) -> None:
    assert plant(database, 10, 100, seed=1, progress=lambda _: None)
    assert not plant(database, 10, 100, seed=2, progress=lambda _: None)
    assert (count(database, "products"), count(database, "purchases")) == (10, 100)


@pytest.mark.engines
def test_absence_of_its_products_is_recorded_as_obsolete(database: Database) -> None:
    plant(database, 3, 10, seed=1, progress=lambda _: None)
    statement = """SELECT "key" FROM cache_invalidations WHERE "key" LIKE %(keys)s ORDER BY id"""
    keys = [key for (key,) in database.read(statement, {"keys": "product:%"})]
    ids = [number for (number,) in database.read("SELECT id FROM products ORDER BY id")]
    assert keys == [f"product:{number}" for number in ids]


@pytest.mark.engines
def test_interrupted_run_leaves_nothing(database: Database) -> None:
    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plant(database, 3, 10, seed=1, progress=interrupt)
    assert (count(database, "products"), count(database, "purchases")) == (0, 0)


@pytest.mark.parametrize("left_behind", [None, "999999999", "1", "", "text"])
def test_without_a_running_up_it_says_so(
    tmp_path: Path, left_behind: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("local.seed.LOCAL", tmp_path)
    if left_behind is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "gunicorn.pid").write_text(left_behind)
    assert main() == 1
    complaint = "error: `make up` does not run, or is not ready yet: start it in another terminal\n"
    assert capsys.readouterr() == ("", complaint)


def test_history_without_a_running_up_says_so(tmp_path: Path) -> None:
    project = Path(__file__).parents[2]
    command = [sys.executable, "-m", "faults.storefront_history", "--local", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(project / "lambda_src")}
    ended = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    complaint = "error: `make up` does not run, or is not ready yet: start it in another terminal\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", complaint)


@pytest.mark.parametrize("number", ["0", "-1", "many", "10000001"])
def test_odd_numbers_are_refused(
    number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PURCHASES", number)
    assert main() == 1
    assert f"PURCHASES={number} is not a number" in capsys.readouterr().err
