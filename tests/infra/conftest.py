"""Each stage is synthesized once; the tests read its templates."""

import pytest

from tests.infra.synthesis import Stage, synthesize


@pytest.fixture(scope="session")
def dev() -> Stage:
    return synthesize("dev")


@pytest.fixture(scope="session")
def prod() -> Stage:
    return synthesize("prod")


@pytest.fixture(params=["dev", "prod"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each stage in turn."""
    found: Stage = request.getfixturevalue(request.param)
    return found
