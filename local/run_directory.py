"""`.local/run`: which process is which, one `<name>.pid` each, and what is left of a run that was killed."""

from collections.abc import Iterable
from pathlib import Path

import psutil

from local.processes import stop_descendants

_PROJECT = str(Path(__file__).parent.parent)


class RunDirectory:
    """The pid files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._written: dict[str, int] = {}

    def clear(self) -> list[str]:
        """Removes every pid file, and kills what still runs of this checkout; returns the names of those."""
        killed = []
        for path in sorted(self.directory.glob("*.pid")):
            try:
                process = psutil.Process(int(path.read_text()))
                if _ours(process):
                    stop_descendants(process)
                    process.kill()
                    killed.append(path.stem)
            except (psutil.Error, ValueError):
                pass
            path.unlink(missing_ok=True)
        return killed

    def write(self, processes: Iterable[tuple[str, int]]) -> None:
        """Writes what has changed since the last call."""
        for name, pid in processes:
            if self._written.get(name) != pid:
                (self.directory / f"{name}.pid").write_text(f"{pid}\n")
                self._written[name] = pid


def _ours(process: psutil.Process) -> bool:
    """A pid may belong to somebody else by now; every process of ours is or runs a file of this checkout."""
    return any(_PROJECT in part for part in [process.exe(), *process.cmdline()])
