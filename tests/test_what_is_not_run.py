"""What a machine lacks is left out aloud, once, however many processes run the tests; what is insisted on is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.optional import PARTS, Part, left_out

PROJECT = Path(__file__).parents[1]
MISSING = "no MariaDB server found; apt-get install mariadb-server-core mariadb-client-core"
# One test on PostgreSQL, one on MySQL.
TESTS = ["tests/local/test_engines.py", "-k", "test_directory_that_a_database_cannot_enter_is_named"]


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "ENGINES")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *TESTS]
    return subprocess.run(
        command, cwd=PROJECT, env=inherited | environment, capture_output=True, text=True, check=False, timeout=120
    )


def test_without_mariadb_the_rest_runs_and_two_processes_say_once_what_did_not() -> None:
    ended = run("-p", "tests.without_mariadb", "-n", "2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = [line for line in ended.stdout.splitlines() if "NOT RUN" in line]
    assert said == [f"NOT RUN: 1 test on MySQL: {MISSING}"]
    assert "1 passed" in ended.stdout


def test_engines_leaves_out_aloud_what_it_does_not_name() -> None:
    ended = run(ENGINES="postgres", CI="true")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "NOT RUN: 1 test on MySQL: ENGINES=postgres" in ended.stdout.splitlines()


def test_insisting_on_a_missing_engine_fails_with_one_line() -> None:
    ended = run("-p", "tests.without_mariadb", "-n", "2", ENGINES="postgres,mysql")
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert (ended.stdout + ended.stderr).strip() == f"ERROR: ENGINES=postgres,mysql: {MISSING}"


@pytest.mark.parametrize("part", PARTS)
def test_ci_leaves_nothing_out_that_nobody_named(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in PARTS:  # whatever this machine lacks
        monkeypatch.setitem(PARTS, other, Part("of this test", lambda: None))
    monkeypatch.setitem(PARTS, part, Part("of this test", lambda: "nobody found it"))
    assert left_out({})[part] == "nobody found it"
    with pytest.raises(pytest.UsageError, match=r"^CI=true runs every test: nobody found it$"):
        left_out({"CI": "true"})


@pytest.mark.parametrize("engines", ["oracle", "", "postgres,oracle"])
def test_unknown_engine_is_refused_with_those_that_are_known(engines: str) -> None:
    with pytest.raises(pytest.UsageError, match=f"ENGINES={engines}: name some of postgres, mysql"):
        left_out({"ENGINES": engines})
