"""Builds the wheels of the two libraries into dist/: `make wheels`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(dist: Path) -> list[Path]:
    """`cache-aside` and `cache-aside-constructs`, in that order. CalledProcessError: a build failed."""
    shutil.rmtree(dist, ignore_errors=True)
    with tempfile.TemporaryDirectory() as made:
        # A project of its own: its modules would have to lie below its pyproject.toml.
        project = Path(made)
        shutil.copytree(
            ROOT / "constructs_lib", project / "constructs_lib", ignore=shutil.ignore_patterns("__pycache__")
        )
        (project / "constructs_lib/pyproject.toml").rename(project / "pyproject.toml")
        for file in (ROOT / "LICENSE", ROOT / "docs/constructs.md"):
            shutil.copy(file, project)
        for source in (ROOT, project):
            command: list[str | Path] = ["uv", "build", "--quiet", "--wheel", "--out-dir", dist, source]
            subprocess.run(command, check=True)
    return [next(dist.glob("cache_aside-*.whl")), next(dist.glob("cache_aside_constructs-*.whl"))]


if __name__ == "__main__":
    for wheel in build(ROOT / "dist"):
        sys.stdout.write(f"{wheel.relative_to(ROOT)}\n")
