"""`.local/run`: which process is which, one `<name>.pid` each, and what is left of a run that was killed."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil

from local.errors import LocalError
from local.processes import stop_descendants

_PROJECT = str(Path(__file__).parent.parent)


class RunDirectory:
    """The pid files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._written: dict[str, int] = {}

    def kill_leftovers(self) -> list[str]:
        """Kills what still runs of an earlier run that was killed itself; returns the names."""
        killed = []
        for path in sorted(self.directory.glob("*.pid")):
            with contextlib.suppress(psutil.Error, ValueError):
                process = psutil.Process(int(path.read_text()))
                if self._ours(process):
                    stop_descendants(process)
                    process.kill()
                    killed.append(path.stem)
        self.clear()
        return killed

    def _ours(self, process: psutil.Process) -> bool:
        """A pid may belong to somebody else by now; ours name a file of this checkout or of its state."""
        places = (_PROJECT, str(self.directory.parent))
        return any(place in part for part in [process.exe(), *process.cmdline()] for place in places)

    def clear(self) -> None:
        """Removes every pid file."""
        for path in self.directory.glob("*.pid"):
            path.unlink()

    def write(self, processes: Iterable[tuple[str, int]]) -> None:
        """Writes what has changed since the last call."""
        for name, pid in processes:
            if self._written.get(name) != pid:
                (self.directory / f"{name}.pid").write_text(f"{pid}\n")
                self._written[name] = pid

    def require_app(self) -> None:
        """LocalError unless the app serves."""
        try:
            serves = self._ours(psutil.Process(int((self.directory / "gunicorn.pid").read_text())))
        except (OSError, psutil.Error, ValueError):
            serves = False
        if not serves:
            raise LocalError("`make up` does not run, or is not ready yet: start it in another terminal")
