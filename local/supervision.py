"""Keeps running what should run: engines as the emulator asks for them, and any process that must come back."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from local.engine_requests import EngineRequest
from local.engines import EngineError, Postgres, Valkey
from local.processes import stop
from local.tls import Certificates

RESTART_AFTER_SECONDS = 2.0
Say = Callable[[str], None]


@dataclass
class _Supervised:
    request: EngineRequest
    engine: Valkey | Postgres
    not_before: float = 0.0
    announced: bool = field(default=False)


class EngineSupervisor:
    """Makes the engines of this machine those that `directory` holds requests for. `say` gets one line an event."""

    def __init__(self, directory: Path, *, certificates: Certificates, say: Say) -> None:
        self._directory = directory
        self._certificates = certificates
        self._say = say
        self._engines: dict[str, _Supervised] = {}

    def reconcile(self) -> None:
        """One look: starts, restarts and stops what differs from the requests. Blocks while an engine starts."""
        wanted = {request.name: request for request in EngineRequest.find_all(self._directory)}
        for name, known in list(self._engines.items()):
            if wanted.get(name) != known.request:
                known.engine.stop()
                del self._engines[name]
        for name, request in wanted.items():
            if name not in self._engines:
                engine = request.engine(self._directory, self._certificates)
                self._engines[name] = _Supervised(request, engine)
            self._tend(self._engines[name])
        self._remove_data_of_others(set(wanted))

    def processes(self) -> Iterator[tuple[str, int]]:
        """Name and process id of every engine and TLS front that was started."""
        for known in self._engines.values():
            if known.announced:
                yield known.engine.name, known.engine.pid
                yield f"{known.engine.name}-tls", known.engine.front_pid

    def stop(self) -> None:
        """Stops every engine; the requests stay, so the next run starts them again."""
        for known in self._engines.values():
            known.engine.stop()

    def _tend(self, known: _Supervised) -> None:
        engine = known.engine
        if engine.running() and engine.front_running():
            return
        now = time.monotonic()
        if known.announced and not known.not_before and not engine.running():
            self._say(f"{engine.name} ended; starting it again in {RESTART_AFTER_SECONDS:.0f} seconds")
            known.not_before = now + RESTART_AFTER_SECONDS
        if now < known.not_before:
            return
        try:
            engine.start()
        except EngineError as error:
            self._say(f"{error}; trying again in {RESTART_AFTER_SECONDS:.0f} seconds")
            known.not_before = time.monotonic() + RESTART_AFTER_SECONDS
            return
        self._say(f"{engine.name} {'is back' if known.announced else 'answers'} on {engine.endpoint}")
        known.announced, known.not_before = True, 0.0

    def _remove_data_of_others(self, wanted: set[str]) -> None:
        for home in self._directory.iterdir():
            if home.is_dir() and home.name not in wanted:
                shutil.rmtree(home, ignore_errors=True)


@dataclass
class Restarted:
    """A process that is started again at once whenever it ends."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    say: Say
    process: subprocess.Popen[bytes] | None = None

    def reconcile(self) -> None:
        """Starts it when it does not run."""
        if self.process is None:
            self.process = self.start()
        elif self.process.poll() is not None:
            self.say(f"{self.name} ended; starting it again")
            self.process = self.start()

    def stop(self) -> None:
        """Ends it in order."""
        if self.process is not None:
            stop(self.process)
