"""Real engines in directories of the test's own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.tls import Certificates, ensure_certificates


@contextmanager
def directory() -> Iterator[Path]:
    """One that PostgreSQL's user may enter, which pytest's own are not when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="cache-aside-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the test."""
    with directory() as path:
        yield path


@pytest.fixture(scope="module")
def module_home() -> Iterator[Path]:
    """A directory of all tests of a file, for the engines that they share."""
    with directory() as path:
        yield path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates that every engine of the session shows."""
    return ensure_certificates(tmp_path_factory.mktemp("tls"))
