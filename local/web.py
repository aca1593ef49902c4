"""The app under gunicorn on this machine."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from local.errors import LocalError
from local.processes import spawn, stop

_PROJECT = Path(__file__).parent.parent


_START_TIMEOUT_SECONDS = 30.0
_RESTART_PAUSE_SECONDS = 2.0  # between two starts of gunicorn; it replaces workers without a pause


def reserve(port: int) -> socket.socket:
    """A loopback socket that listens on the port, so that nobody takes it while the deployment goes on. LocalError.

    Whoever connects before the app serves waits for it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind(("127.0.0.1", port))
        reserved.listen()
    except OSError as error:
        reserved.close()
        raise LocalError(f"port {port}: {error.strerror}; choose another: make up PORT={port + 1}") from error
    return reserved


class WebServer:
    """gunicorn with `workers` processes on the reserved socket; it replaces a dead worker at once by itself."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        workers: int,
        environment: Mapping[str, str],
        run_directory: Path,
        log_file: Path,
        say: Callable[[str], None],
    ) -> None:
        self._listener = listener
        self._url = f"http://127.0.0.1:{listener.getsockname()[1]}/health/ready"
        self._environment = {
            **environment,
            "PYTHONPATH": str(_PROJECT / "lambda_src"),
            "LOCAL_RUN": str(run_directory),
            "LOCAL_SOCKET": str(listener.fileno()),
            "WORKERS": str(workers),
        }
        self._run_directory = run_directory
        self._log_file = log_file
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._known: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """gunicorn's own process id. LocalError before the start."""
        if self._process is None:
            raise LocalError("the app was not started")
        return self._process.pid

    def reconcile(self) -> None:
        """Starts gunicorn again when it has ended, and says which workers it has replaced."""
        if self._process and self._process.poll() is not None and time.monotonic() > self._not_before:
            self._say(f"gunicorn ended (see {self._log_file}); starting it again")
            self._process = self._start()
        workers = {path.stem: path.read_text() for path in self._run_directory.glob("worker-*.pid")}
        for name in sorted(workers):
            if self._known.get(name, workers[name]) != workers[name]:
                self._say(f"{name} ended; started again")
        self._known = workers

    def start(self) -> None:
        """Starts it and blocks until it answers (30 s at most, then LocalError)."""
        self._process = self._start()
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise LocalError(f"the app did not start, see {self._log_file}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends gunicorn with its workers; requests that it serves get 5 s to finish."""
        if self._process:
            stop(self._process)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gunicorn", "--config", f"file:{_PROJECT / 'local' / 'gunicorn_config.py'}"]
        self._not_before = time.monotonic() + _RESTART_PAUSE_SECONDS
        descriptor = self._listener.fileno()
        return spawn(command, log_file=self._log_file, env=self._environment, cwd=_PROJECT, pass_fds=[descriptor])

    def _answers(self) -> bool:
        try:
            return httpx.get(self._url, timeout=1, trust_env=False).is_success
        except httpx.TransportError:
            return False
