"""Interrupts `make up` at every step that it announces, and between them, and starts it again: it must become ready.

`python -m faults.interrupted_up` takes about 40 minutes. Ctrl-C (SIGINT) and kill -9 (SIGKILL) take turns. Three
kinds of starts are interrupted: the first one, a later one, and a later one after the sources have changed.
"""

import argparse
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from local.processes import free_port

_PROJECT = Path(__file__).parents[1]
_READY = "ready http"
_PATIENCE_SECONDS = 600.0
_START = "starting the CloudFormation emulator"
_END = ("through the deployed load balancer", "first operator's login")
_DEPLOY = ("cdk bootstrap", "bootstrapped", "cdk deploy", "App/SchemaMigration", "App/Service", "Synthesis time")
_ENGINES = ("valkey answers", "postgres answers")
_NETWORK, _DATA, _APP = (
    (f"{name} (cache-aside-dev-{name.lower()}): deploying", f"✅  {name}") for name in ("Network", "Data", "App")
)


@dataclass(frozen=True)
class Moment:
    """So many seconds after a `kind` of start has said a line with `step` in it."""

    kind: str
    step: str
    after_seconds: float = 0.0


FIRST = (_START, *_DEPLOY, *_NETWORK, _DATA[0], *_ENGINES, _DATA[1], *_APP, *_END)
LATER = (_START, *_ENGINES, "sources unchanged", *_END)
CHANGED = (_ENGINES[1], "Synthesis time", "App (cache-aside-dev-app)", _END[0])
MOMENTS = (
    *(Moment("first", step) for step in FIRST),
    Moment("first", "cdk bootstrap", 2),
    Moment("first", _NETWORK[0], 0.5),
    Moment("first", _APP[0], 3),
    *(Moment("later", step) for step in LATER),
    *(Moment("changed", step) for step in CHANGED),
)


class Run:
    """One `python -m local.up`, with what it says."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        environment = {**os.environ, "LOCAL_DIRECTORY": str(directory), "PORT": str(self.port), "WORKERS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.up"],
            cwd=_PROJECT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        self.said.extend(iter(self.process.stdout.readline, ""))

    def reaches(self, step: str) -> bool:
        """Whether it says a line with this in it before it ends."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not any(step in line for line in self.said):
            if self.process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def serves(self) -> bool:
        """Whether it becomes ready, and answers with a product."""
        if not self.reaches(_READY):
            return False
        return httpx.get(f"http://127.0.0.1:{self.port}/products/1", timeout=30, trust_env=False).is_success

    def end(self, how: signal.Signals) -> None:
        """Sends the signal and waits."""
        self.process.send_signal(how)
        self.process.wait(60)


def interrupt(directory: Path, moment: Moment, how: signal.Signals) -> str:
    """Empty when the start after the interrupted one serves; else what went wrong."""
    if moment.kind == "first":
        shutil.rmtree(directory, ignore_errors=True)
    elif not (directory / "deployed").exists():
        earlier = Run(directory)
        earlier.reaches(_READY)
        earlier.end(signal.SIGINT)
    if moment.kind == "changed":
        (directory / "deployed").write_text("other sources")
    interrupted = Run(directory)
    if not interrupted.reaches(moment.step):
        interrupted.process.kill()
        return f"never said {moment.step!r}: {''.join(interrupted.said[-3:])}"
    time.sleep(moment.after_seconds)
    interrupted.end(how)
    again = Run(directory)
    served = again.serves()
    again.end(signal.SIGINT if again.process.poll() is None else signal.SIGKILL)
    return "" if served else "".join(again.said[-5:])


def drill(moments: Sequence[Moment], directory: Path) -> Iterator[tuple[Moment, signal.Signals, str]]:
    """Each moment with the signal and its failure, if any."""
    for moment, how in zip(moments, itertools.cycle([signal.SIGINT, signal.SIGKILL]), strict=False):
        yield moment, how, interrupt(directory, moment, how)


def main() -> int:
    """Prints a line a moment; 0 when every start after an interruption became ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slice", default="0:", help="which of the moments, as Python slices: 0:5, or 1::2")
    begin, _, rest = parser.parse_args().slice.partition(":")
    end, _, step = rest.partition(":")
    moments = MOMENTS[int(begin or 0) : int(end) if end else None : int(step or 1)]
    home = Path(tempfile.mkdtemp(prefix="cache-aside-"))
    home.chmod(0o755)  # PostgreSQL does not run as root
    failed = 0
    for number, (moment, how, failure) in enumerate(drill(moments, home / "local"), start=1):
        place = f"{moment.step} +{moment.after_seconds:g} s"
        sys.stdout.write(f"{number:>2} {moment.kind:<8}{how.name:<8}{place:<50}{failure or 'ready'}\n")
        sys.stdout.flush()
        failed += bool(failure)
    shutil.rmtree(home, ignore_errors=True)
    sys.stdout.write(f"{len(moments) - failed} of {len(moments)} starts after an interruption became ready\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
