"""Keeps the engines running that the emulator asks for."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local.engine_requests import EngineRequest
from local.engines import Engine, EngineError
from local.tls import Certificates

RESTART_AFTER_SECONDS = 2.0
Say = Callable[[str], None]


@dataclass
class _Supervised:
    request: EngineRequest
    engine: Engine
    not_before: float = 0.0
    failure: str = ""
    announced: bool = False


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
                yield from known.engine.processes()

    def endpoints(self) -> set[str]:
        """`localhost:PORT` of every engine that should run."""
        return {f"localhost:{request.port}" for request in EngineRequest.find_all(self._directory)}

    def all_answer(self) -> bool:
        """Whether no engine is missing."""
        return all(known.engine.complete() for known in self._engines.values())

    def stop(self) -> None:
        """Stops every engine; the requests stay, so the next run starts them again."""
        for known in self._engines.values():
            known.engine.stop()

    def _tend(self, known: _Supervised) -> None:
        engine = known.engine
        if engine.complete():
            return
        now = time.monotonic()
        if known.announced and not known.not_before:
            self._announce_end(known, now)
        if now < known.not_before:
            return
        try:
            engine.start()
        except EngineError as error:
            if str(error) != known.failure:
                self._say(f"{error}; trying again every {RESTART_AFTER_SECONDS:.0f} seconds")
            known.failure = str(error)
            known.not_before = time.monotonic() + RESTART_AFTER_SECONDS
            return
        self._say(f"{engine.name} {'is back' if known.announced else 'answers'} on {engine.endpoint}")
        known.announced, known.not_before, known.failure = True, 0.0, ""

    def _announce_end(self, known: _Supervised, now: float) -> None:
        engine = known.engine
        if engine.running():
            self._say(f"{engine.name}-tls ended; starting it again")
        else:
            self._say(f"{engine.name} ended; starting it again in {RESTART_AFTER_SECONDS:.0f} seconds")
            known.not_before = now + RESTART_AFTER_SECONDS

    def _remove_data_of_others(self, wanted: set[str]) -> None:
        for home in self._directory.iterdir():
            if home.is_dir() and home.name not in wanted:
                shutil.rmtree(home, ignore_errors=True)
