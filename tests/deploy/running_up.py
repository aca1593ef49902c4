"""`python -m local.up` as a process of a test."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 240


class RunningUp:
    """One run, with what it says on the terminal."""

    def __init__(self, directory: Path, port: int, *, workers: int = 2, database: str = "postgres") -> None:
        self.directory = directory
        self.url = f"http://localhost:{port}"
        settings = {"LOCAL_DIRECTORY": directory, "PORT": port, "WORKERS": workers, "DATABASE": database}
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        command = [sys.executable, "-m", "local.up"]
        self.process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line.rstrip())

    def wait_for(self, line: str) -> None:
        """Blocks until it has said a line that contains this."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not any(line in said for said in self.said):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def pid(self, name: str) -> int:
        """What the pid file of that name says."""
        return int((self.directory / "run" / f"{name}.pid").read_text())

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def end(self, how: signal.Signals) -> int:
        """Sends the signal and waits for the end; the exit code."""
        self.process.send_signal(how)
        code = self.process.wait(30)
        self._reader.join(10)
        return code


def alive(processes: list[psutil.Process], *, patience_seconds: float = 10) -> list[psutil.Process]:
    """Those that still run after a while; zombies, which nobody but their parent can end, do not run."""
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        left = [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        if not left:
            return []
        time.sleep(0.1)
    return left
