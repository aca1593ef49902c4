"""The wheels, as somebody else installs them: into an empty environment, without this repository beside them."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.engines import Valkey
from local.tls import ensure_certificates
from tools import releases, wheels

Python = Callable[..., str]
Environment = Callable[..., Python]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both wheels."""
    return wheels.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An empty one with a package and what it asks for, in the releases that the project pins, from uv's cache."""

    def make(package: Path) -> Python:
        python = tmp_path / "venv/bin/python"
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
        install: list[str | Path] = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            python,
            "-c",
            wheels.ROOT / "requirements-dev.txt",
        ]
        offline = subprocess.run([*install, "--offline", package], check=False, capture_output=True)
        if offline.returncode:  # the cache lacks something
            subprocess.run([*install, package], check=True)

        def run(program: str, *arguments: str) -> str:
            command: list[str | Path] = [python, "-I", "-W", "error", "-c", program, *arguments]
            return subprocess.check_output(command, text=True, cwd=tmp_path)

        return run

    return make


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server with TLS and a token."""
    engine = Valkey(tmp_path / "valkey", auth_token="token", certificates=ensure_certificates(tmp_path / "tls"))
    engine.start()
    yield engine
    engine.stop()


READS_AND_WRITES = """
import ssl, sys
from cache_aside import CacheAside, Policy

cache = CacheAside.connect(
    "localhost", int(sys.argv[1]), auth_token="token", tls=ssl.create_default_context(cafile=sys.argv[2])
)
policy = Policy(name="product", value_type=list[int], ttl_seconds=60)
for _ in range(2):
    print(cache.get_or_load("product:1", lambda: [1], policy=policy).served)
print(cache.invalidate("product:1").confirmed)
print(cache.get_or_load("product:1", lambda: [2], policy=policy).value)
"""


@pytest.mark.engines
@pytest.mark.parametrize("source", ["wheel", "checkout"])
def test_cache_aside_works_in_an_empty_environment(
    source: str, built: list[Path], environment: Environment, valkey: Valkey
) -> None:
    python = environment(built[0] if source == "wheel" else wheels.ROOT)
    said = python(READS_AND_WRITES, str(valkey.port), str(valkey.certificates.ca_file))
    assert said.splitlines() == ["MISS", "HIT", "True", "[2]"]


def test_constructs_work_in_an_empty_environment(built: list[Path], environment: Environment) -> None:
    python = environment(built[1])
    said = python(
        "import constructs_lib as lib; print(all(hasattr(lib, name) for name in lib.__all__), len(lib.__all__))"
    )
    assert said.startswith("True")
    assert int(said.split()[1]) > 30


def test_wheels_say_that_they_are_typed_and_carry_their_license_and_nothing_else(built: list[Path]) -> None:
    for wheel, module in zip(built, ("cache_aside", "constructs_lib"), strict=True):
        names = zipfile.ZipFile(wheel).namelist()
        assert f"{module}/py.typed" in names
        assert any(name.endswith("licenses/LICENSE") for name in names)
        others = [name for name in names if not name.startswith((f"{module}/", wheel.name.partition("-py3")[0]))]
        assert others == []


@pytest.mark.engines
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the oldest releases have wheels for Python 3.11 only")
def test_oldest_releases_that_the_wheel_allows_keep_the_contract() -> None:
    metadata = (wheels.ROOT / "pyproject.toml").read_text()
    assert all(f'"{name}>={version}'.removesuffix(".0") in metadata for name, version in releases.OLDEST.items())
    done = releases.run(releases.OLDEST, releases.ESSENTIAL)
    assert done.returncode == 0, done.stdout
