"""Which GLIBC a bundle needs, and which the Lambda runtimes have."""

import re
from collections.abc import Iterator
from pathlib import Path

Version = tuple[int, int]

# "Lambda runtimes": Python 3.11 runs on Amazon Linux 2, later ones on Amazon Linux 2023.
RUNTIMES: dict[str, Version] = {"3.11": (2, 26), "3.12": (2, 34), "3.13": (2, 34), "3.14": (2, 34)}
# The names of needed versions stand in the table of strings; only the C library itself has names that it does not need.
_NEEDED = re.compile(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)")


def too_new(bundle: Path, runtime: Version) -> list[str]:
    """The shared objects of a bundle that do not load in a runtime, each with the version that it needs."""
    return [f"{path.name} needs {major}.{minor}" for path, (major, minor) in _needs(bundle) if (major, minor) > runtime]


def _needs(bundle: Path) -> Iterator[tuple[Path, Version]]:
    for path in sorted(bundle.rglob("*")):
        if ".so" in path.suffixes:
            versions = [(int(major), int(minor)) for major, minor in _NEEDED.findall(path.read_bytes())]
            yield path, max(versions, default=(0, 0))
