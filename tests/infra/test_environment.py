"""Environment variables: what the templates set is what the code reads, by the same names and no other."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.auth_token_rotation.settings import Settings as RotationSettings
from functions.schema_migration.settings import Settings as MigrationSettings
from storefront.settings import Settings as AppSettings
from tests.infra.synthesis import Stage

ROOT = Path(__file__).parents[2]
READERS: Mapping[str, Callable[[Mapping[str, str]], object]] = {
    "ServiceFunction": AppSettings.from_environment,
    "InvalidationRelayFunction": AppSettings.from_environment,
    "SchemaMigrationFunction": MigrationSettings.from_environment,
    "AuthTokenRotationFunction": RotationSettings.from_environment,
}
NOT_OF_A_TEMPLATE = {
    "AWS_REGION": "Lambda sets it",
    "RDS_PASSWORD": "for a database without IAM, on one machine",
    "RELAY_PERIOD_SECONDS": "its default is the schedule of the template",
}
UNREAD = {"CONFIGURATION_DIGEST"}  # its change publishes a version: see constructs_lib/compute/live_alias.py
OF_THE_OTHER_LOGIN = {"ELASTICACHE_AUTH_SECRET_ARN", "ELASTICACHE_USER", "ELASTICACHE_REPLICATION_GROUP_ID"}
ELSEWHERE = {"RDS_CA_FILE", "RDS_CA_BUNDLE"}  # read where the file is opened; the name of a constant
VALUES = {"RDS_ENGINE": "postgres", "ELASTICACHE_ENDPOINT": "cache:6379", "DRAIN_SECONDS": "900"}


class Recorded(Mapping[str, str]):
    """An environment that remembers what it is asked for."""

    def __init__(self, names: set[str]) -> None:
        self.values_of = {name: VALUES.get(name, f"value:{len(name)}") for name in names | {"AWS_REGION"}}
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_of[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_of)

    def __len__(self) -> int:
        return len(self.values_of)


def functions(stage: Stage) -> dict[str, dict[str, Any]]:
    """The variables of every function inside the VPC, by the beginning of its id."""
    return {
        next(prefix for prefix in READERS if logical_id.startswith(prefix)): function["Properties"]["Environment"][
            "Variables"
        ]
        for logical_id, function in stage.resources("AWS::Lambda::Function").items()
        if "VpcConfig" in function["Properties"]
    }


def read_by(prefix: str, names: set[str]) -> set[str]:
    """What the code of a function asks for, given these variables."""
    environment = Recorded(names)
    READERS[prefix](environment)
    return environment.asked


@pytest.fixture(params=["prod", "users"])
def deployed(request: pytest.FixtureRequest) -> Stage:
    """Prod with each kind of login to the cache."""
    found: Stage = request.getfixturevalue(request.param)
    return found


def test_every_function_is_looked_at(prod: Stage) -> None:
    assert set(functions(prod)) == set(READERS)


def test_code_reads_every_variable_that_is_set(deployed: Stage) -> None:
    unread = {
        prefix: set(found) - read_by(prefix, set(found)) - UNREAD for prefix, found in functions(deployed).items()
    }
    assert [(prefix, names) for prefix, names in unread.items() if names] == []


def test_every_variable_that_code_reads_is_set(deployed: Stage) -> None:
    optional = set(NOT_OF_A_TEMPLATE) | OF_THE_OTHER_LOGIN
    unset = {
        prefix: read_by(prefix, set(found)) - set(found) - optional for prefix, found in functions(deployed).items()
    }
    assert [(prefix, names) for prefix, names in unset.items() if names] == []


def test_one_machine_spells_them_the_same_way(prod: Stage, users: Stage) -> None:
    known = {name for stage in (prod, users) for found in functions(stage).values() for name in found}
    names = re.compile(r"\b(?:RDS|ELASTICACHE|[A-Z_]*REPLICATION_GROUP)_[A-Z_]+\b")
    spelled = {
        name
        for folder in ("local", "faults")
        for file in (ROOT / folder).rglob("*.py")
        for name in names.findall(file.read_text())
    }
    assert spelled - known - set(NOT_OF_A_TEMPLATE) - ELSEWHERE == set()
