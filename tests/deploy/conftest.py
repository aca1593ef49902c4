"""What every deployment of these tests needs."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A directory for everything that a deployment leaves, which PostgreSQL's user may enter."""
    path = Path(tempfile.mkdtemp(prefix="cache-aside-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _synthesis_without_validator() -> Iterator[None]:
    """The validator is half of every synthesis; tests/infra runs it once a stage."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CDK_VALIDATION", "false")
        yield
