"""A fingerprint of everything that decides what a deployment to this machine looks like."""

import hashlib
import platform
import sys
from pathlib import Path

_PROJECT = Path(__file__).parent.parent
_SOURCES = (
    "app.py",
    "cdk.json",
    "constructs_lib",
    "lambda_src",
    "local/emulator",
    "package-lock.json",
    "requirements.txt",
    "stacks",
)


def fingerprint(extra: str = "") -> str:
    """SHA-256 over the sources, this machine, its Python and `extra`."""
    digest = hashlib.sha256(f"{platform.machine()} {sys.version} {extra}".encode())
    for source in _SOURCES:
        root = _PROJECT / source
        for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(_PROJECT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
