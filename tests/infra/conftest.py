"""Each stage is synthesized once; the tests read its templates."""

import os

import pytest

# Read when aws_cdk is imported. The validator has its turn in test_cdk_cli.py; it would be most of the time here.
os.environ["CDK_VALIDATION"] = "false"

from tests.infra.synthesis import Stage, synthesize


@pytest.fixture(scope="session")
def dev() -> Stage:
    return synthesize("dev")


@pytest.fixture(scope="session")
def prod() -> Stage:
    return synthesize("prod")


@pytest.fixture(scope="session")
def mysql() -> Stage:
    """Prod with the other SQL engine."""
    return synthesize("prod", database__engine="mysql")


@pytest.fixture(scope="session")
def users() -> Stage:
    """Prod with role-based access to the cache."""
    return synthesize("prod", cache__auth="iam")


@pytest.fixture(params=["dev", "prod", "mysql"])
def any_stage(request: pytest.FixtureRequest) -> Stage:
    """Each stage in turn, and prod with the other SQL engine."""
    found: Stage = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["dev", "prod"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each stage in turn."""
    found: Stage = request.getfixturevalue(request.param)
    return found
