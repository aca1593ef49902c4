"""What the engines share: the process, its port, and the TLS front of those that need one."""

import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from local.engines.unprivileged import EngineError
from local.processes import free_port, spawn, stop
from local.tls import Certificates

_FRONT = Path(__file__).parents[1] / "tls_front.py"
_START_TIMEOUT_SECONDS = 30.0


class Engine(ABC):
    """A server process that clients reach on loopback, over TLS only.

    `directory` becomes the engine's own (data and logs). `port` is the TLS port; when omitted a free one is chosen.
    `not_ready` is what `ping` raises while the engine cannot be reached.
    """

    name: str
    _stop_signal = signal.SIGTERM
    not_ready: type[Exception]

    def __init__(self, directory: Path, *, certificates: Certificates, port: int | None) -> None:
        self.directory = directory
        self.certificates = certificates
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """`localhost:PORT`, TLS only."""
        return f"localhost:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the engine itself. EngineError before the first start."""
        return self._started(self._process).pid

    @property
    def log_file(self) -> Path:
        """Where the engine's output is appended."""
        return self.directory / f"{self.name}.log"

    def processes(self) -> list[tuple[str, int]]:
        """Name and process id of all that it consists of. EngineError before the first start."""
        return [(self.name, self.pid)]

    def running(self) -> bool:
        """Whether the engine's process lives."""
        return self._process is not None and self._process.poll() is None

    def complete(self) -> bool:
        """Whether all that it consists of lives."""
        return self.running()

    def start(self) -> None:
        """Starts what does not run and blocks until the endpoint answers (30 s at most, then EngineError)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)  # nobody else connects to a Unix socket in it
        self._start_missing()
        self._wait_until_ready()

    def stop(self) -> None:
        """Ends the engine in order."""
        if self._process is not None:
            stop(self._process, how=self._stop_signal)

    def kill(self) -> None:
        """Kills the engine (SIGKILL)."""
        process = self._started(self._process)
        process.kill()
        process.wait()

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def ping(self) -> None:
        """Talks to the engine through its endpoint once; raises what the client library raises."""

    def _start_missing(self) -> None:
        if not self.running():
            self._process = self._spawn()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while True:
            if not self.complete():
                raise EngineError(f"{self.name} ended while starting: {self._last_words()}")
            try:
                return self.ping()
            except self.not_ready as error:
                if time.monotonic() > deadline:
                    raise EngineError(f"{self.name} does not answer on {self.endpoint}: {error}") from error
                time.sleep(0.05)

    def _last_words(self) -> str:
        log = self._telling_log()
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        return next((line for line in reversed(lines) if line), "it said nothing") + f" (see {log})"

    def _telling_log(self) -> Path:
        return self.log_file

    def _started(self, process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes]:
        if process is None:
            raise EngineError(f"{self.name} was not started")
        return process


class FrontedEngine(Engine):
    """An engine that speaks plain text, on a Unix socket of its own, behind a process that speaks TLS for it.

    `_socket` is named from `directory`, in which the front runs: a whole path may be longer than a socket's may be.

    When it is killed, the front stays and resets every connection until the engine is started again.
    """

    _socket: str

    def __init__(self, directory: Path, *, certificates: Certificates, port: int | None) -> None:
        super().__init__(directory, certificates=certificates, port=port)
        self._front: subprocess.Popen[bytes] | None = None

    @property
    def front_pid(self) -> int:
        """The process id of its TLS front. EngineError before the first start."""
        return self._started(self._front).pid

    def processes(self) -> list[tuple[str, int]]:
        """See `Engine`."""
        return [*super().processes(), (f"{self.name}-tls", self.front_pid)]

    def front_running(self) -> bool:
        """Whether the TLS front's process lives."""
        return self._front is not None and self._front.poll() is None

    def complete(self) -> bool:
        """See `Engine`."""
        return super().complete() and self.front_running()

    def stop(self) -> None:
        """Ends the engine in order, then its front."""
        super().stop()
        if self._front is not None:
            stop(self._front)

    def _front_options(self) -> Sequence[str]:
        return ()

    def _start_missing(self) -> None:
        super()._start_missing()
        if not self.front_running():
            self._front = self._spawn_front()

    def _spawn_front(self) -> subprocess.Popen[bytes]:
        files = self.certificates
        command: list[str | Path] = [sys.executable, "-I", _FRONT, "--port", str(self.port), "--target", self._socket]
        command += ["--certificate", files.cert_file.resolve(), "--key", files.key_file.resolve()]
        log_file = self.directory / "tls-front.log"
        return spawn([*command, *self._front_options()], log_file=log_file, cwd=self.directory)

    def _telling_log(self) -> Path:
        return self.directory / "tls-front.log" if self.running() else self.log_file
