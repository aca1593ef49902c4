"""Files that hold a secret."""

import os
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Writes the file, readable by its owner only, in place of an earlier one: whole, or not at all when killed."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    unfinished.replace(path)
