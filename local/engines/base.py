"""What both engines share: the process, its TLS front, and their ports."""

import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from local.errors import LocalError
from local.processes import free_port, spawn, stop
from local.tls import Certificates

_START_TIMEOUT_SECONDS = 30.0


class EngineError(LocalError):
    """An engine did not start; the message says why and where its log is."""


class Engine(ABC):
    """A server process on a plain-text loopback port and the TLS front through which clients reach it.

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
        self._plain_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._front: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """`localhost:PORT`, TLS only."""
        return f"localhost:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the engine itself. EngineError before the first start."""
        return self._started(self._process).pid

    @property
    def front_pid(self) -> int:
        """The process id of its TLS front. EngineError before the first start."""
        return self._started(self._front).pid

    @property
    def log_file(self) -> Path:
        """Where the engine's output is appended."""
        return self.directory / f"{self.name}.log"

    def running(self) -> bool:
        """Whether the engine's process lives."""
        return self._process is not None and self._process.poll() is None

    def front_running(self) -> bool:
        """Whether the TLS front's process lives."""
        return self._front is not None and self._front.poll() is None

    def start(self) -> None:
        """Starts what does not run and blocks until the endpoint answers (30 s at most, then EngineError)."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.running():
            self._process = self._spawn()
        if not self.front_running():
            self._front = self._spawn_front()
        self._wait_until_ready()

    def stop(self) -> None:
        """Ends the engine in order, then its front."""
        if self._process is not None:
            stop(self._process, how=self._stop_signal)
        if self._front is not None:
            stop(self._front)

    def kill(self) -> None:
        """Kills the engine (SIGKILL). The front stays and resets every connection until the engine is started again."""
        process = self._started(self._process)
        process.kill()
        process.wait()

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[bytes]: ...

    @abstractmethod
    def ping(self) -> None:
        """Talks to the engine through its endpoint once; raises what the client library raises."""

    def _front_options(self) -> Sequence[str]:
        return ()

    def _spawn_front(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "local.tls_front", "--port", str(self.port)]
        command += ["--target-port", str(self._plain_port)]
        command += ["--certificate", str(self.certificates.cert_file), "--key", str(self.certificates.key_file)]
        project = Path(__file__).parents[2]
        return spawn([*command, *self._front_options()], log_file=self.directory / "tls-front.log", cwd=project)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while True:
            if not (self.running() and self.front_running()):
                raise EngineError(f"{self.name} ended while starting: {self._last_words()}")
            try:
                return self.ping()
            except self.not_ready as error:
                if time.monotonic() > deadline:
                    raise EngineError(f"{self.name} does not answer on {self.endpoint}: {error}") from error
                time.sleep(0.05)

    def _last_words(self) -> str:
        log = self.directory / "tls-front.log" if self.running() else self.log_file
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        return next((line for line in reversed(lines) if line), "it said nothing") + f" (see {log})"

    def _started(self, process: subprocess.Popen[bytes] | None) -> subprocess.Popen[bytes]:
        if process is None:
            raise EngineError(f"{self.name} was not started")
        return process
