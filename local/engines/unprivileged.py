"""Servers that do not run as root run as a user who may do nothing."""

import os
import pwd
from pathlib import Path

from local.errors import LocalError

# Exists on every Unix.
_USER = "nobody"


class EngineError(LocalError):
    """An engine did not start; the message says why and where its log is."""


def unprivileged_user() -> str | None:
    """Who runs the server; None: whoever runs this."""
    return _USER if os.geteuid() == 0 else None


def check_access(*needed: Path) -> None:
    """EngineError when the unprivileged user cannot enter what is above one of the paths.

    Directories that do not exist yet do not matter: they are made so that it can.
    """
    if unprivileged_user() is None:
        return
    for path in needed:
        for parent in reversed(path.resolve().parents):
            if parent.exists() and not parent.stat().st_mode & 0o001:
                raise EngineError(
                    f"databases do not run as root, so they run as {_USER!r}, who cannot enter {parent} "
                    f"(needed for {path.resolve()}): work as another user, or in a directory that others may enter"
                )


def make_passable(directory: Path) -> None:
    """Makes the directory and those above it that are missing: private, but where the unprivileged user passes."""
    if not directory.exists():
        make_passable(directory.parent)
        directory.mkdir()
        directory.chmod(0o711 if unprivileged_user() else 0o700)


def hand_over(directory: Path, user: str) -> None:
    """Makes the directory and all in it the user's."""
    for path in (directory, *directory.rglob("*")):
        if path.owner() != user:
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
