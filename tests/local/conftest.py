"""Real engines in directories of the test's own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.tls import Certificates, ensure_certificates


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that PostgreSQL's user may enter, which pytest's own are not when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="cache-aside-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates that every engine of the session shows."""
    return ensure_certificates(tmp_path_factory.mktemp("tls"))
