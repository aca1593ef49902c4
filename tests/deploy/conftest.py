"""A directory for everything that a deployment leaves, which PostgreSQL's user may enter."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="cache-aside-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)
