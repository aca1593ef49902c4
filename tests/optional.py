"""What a machine may lack, and what becomes of the tests that need it: see conftest.py.

They are left out aloud. `ENGINES=postgres` leaves MySQL out although it is there, `ENGINES=postgres,mysql` insists on
both, and CI=true on everything that ENGINES does not leave out.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from local.engines import EngineError
from local.engines.mariadb import mariadb_program
from tests.sql_engines import NAMES as ENGINES


@dataclass(frozen=True)
class Part:
    """`tests` says what its tests have in common; `missing` why they cannot run here, or None."""

    tests: str
    missing: Callable[[], str | None]


def _mariadb() -> str | None:
    try:
        mariadb_program("mariadbd")
        mariadb_program("mariadb-install-db")
    except EngineError:
        return "no MariaDB server found; apt-get install mariadb-server-core mariadb-client-core"
    return None


def _cdk_cli() -> str | None:
    found = (Path(__file__).parents[1] / "node_modules" / ".bin" / "cdk").exists()
    return None if found else "no CDK CLI found; npm ci"


def _lambda_runtime() -> str | None:
    return None if find_spec("awslambdaric") else "the runtime client of AWS Lambda is for Linux"


PARTS = {
    "postgres": Part("on PostgreSQL", lambda: None),  # it comes from pip, as Valkey does
    "mysql": Part("on MySQL", _mariadb),
    "cdk_cli": Part("with the CDK CLI", _cdk_cli),
    "lambda_runtime": Part("under AWS's Lambda runtime client", _lambda_runtime),
}


def left_out(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Why the tests that need a part are not run, by part. UsageError for a part that is insisted on and missing."""
    chosen = _chosen(environment)
    reasons = {}
    for name, part in PARTS.items():
        if chosen and name in ENGINES and name not in chosen:
            reasons[name] = f"ENGINES={environment['ENGINES']}"
        elif missing := part.missing():
            if name in chosen:
                raise pytest.UsageError(f"ENGINES={environment['ENGINES']}: {missing}")
            if environment.get("CI"):
                raise pytest.UsageError(f"CI={environment['CI']} runs every test: {missing}")
            reasons[name] = missing
    return reasons


def _chosen(environment: Mapping[str, str]) -> tuple[str, ...]:
    given = environment.get("ENGINES")
    if given is None:
        return ()
    chosen = tuple(name.strip() for name in given.split(",") if name.strip())
    if not chosen or set(chosen) - set(ENGINES):
        raise pytest.UsageError(f"ENGINES={given}: name some of {', '.join(ENGINES)}, such as ENGINES=postgres")
    return chosen
