"""Runs the contract of `cache_aside` on old and new releases of what it depends on: `make wheels-matrix`."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST = {"redis": "5.0.0", "hiredis": "2.1.0", "msgspec": "0.18.6"}
"""What pyproject.toml allows at least. `make test` runs these beside the pinned ones, which are the newest."""
RELEASES = (
    OLDEST,
    {"redis": "5.3.1", "hiredis": "2.4.0", "msgspec": "0.19.0"},
    {"redis": "6.4.0", "hiredis": "3.0.0", "msgspec": "0.20.0"},
    {"redis": "7.4.1", "hiredis": "3.4.0", "msgspec": "0.21.1"},
)
_FOLDER = ROOT / ".venv-bench/releases"
# Both clients against a real server: reads, writes, failures and reconnects.
ESSENTIAL = ("test_contract.py",)
_TESTS = (*ESSENTIAL, "test_contract_many.py", "faults/test_clients.py", "faults/test_reauthentication.py")


def run(releases: dict[str, str], tests: Sequence[str] = _TESTS) -> subprocess.CompletedProcess[str]:
    """The tests with these releases in front of the pinned ones."""
    pins = [f"{name}=={version}" for name, version in releases.items()]
    folder = _FOLDER / "-".join(releases.values())
    install: list[str | Path] = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", folder]
    subprocess.run([*install, *pins], check=True)
    path = os.pathsep.join(map(str, (folder, ROOT, ROOT / "lambda_src")))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not fake"]
    command += [str(ROOT / "tests/cache_aside" / name) for name in tests]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": path}
    found = [sys.executable, "-c", "import redis; print(redis.__version__)"]
    if (version := subprocess.check_output(found, env=environment, text=True).strip()) != releases["redis"]:
        raise RuntimeError(f"redis {version} would be tested, not {releases['redis']}")
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, text=True, capture_output=True)


def main() -> int:
    """0 when every combination passes."""
    failed = 0
    for releases in RELEASES:
        done = run(releases)
        failed += done.returncode != 0
        name = ", ".join(f"{name} {version}" for name, version in releases.items())
        said = f"FAILED\n{done.stdout}{done.stderr}" if done.returncode else done.stdout.splitlines()[-1]
        sys.stdout.write(f"{name}: {said}\n")
        sys.stdout.flush()
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
