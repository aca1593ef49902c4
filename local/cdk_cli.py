"""Runs the CDK CLI from the lock file against the emulator."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from local.errors import LocalError
from local.processes import spawn, stop

_PROJECT = Path(__file__).parent.parent
_CDK = _PROJECT / "node_modules" / ".bin" / "cdk"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_PROGRESS = re.compile(r"^(Bundling asset |.+: (deploying|destroying)\.\.\.|\s*[✅❌]|✨  Synthesis)")


class CdkError(LocalError):
    """The CDK CLI failed; the message is the end of what it printed."""


class CdkCli:
    """The CDK CLI in this project, with `environment` and the settings of one stage.

    `while_waiting` runs about ten times a second while the CLI works; `say` gets its lines of progress.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        context: Mapping[str, str],
        output: Path,
        log_file: Path,
        while_waiting: Callable[[], None],
        say: Callable[[str], None],
        app: str | None = None,
    ) -> None:
        """:param app: command that synthesizes, in the place of the one in cdk.json"""
        self._environment = environment
        self._options = [part for key, value in context.items() for part in ("-c", f"{key}={value}")]
        self._options += ["--output", str(output), *(["--app", app] if app else [])]
        self._log_file = log_file
        self._while_waiting = while_waiting
        self._say = say

    def run(self, *arguments: str) -> str:
        """What the CLI printed. CdkError when it fails."""
        start = self._log_file.stat().st_size if self._log_file.exists() else 0
        command: list[str | Path] = [_CDK, *arguments, *self._options, "--ci", "--no-color"]
        # SIGKILL, because the CLI outlives a request to end while it waits for a stack.
        kill = signal.SIGKILL
        process = spawn(command, log_file=self._log_file, env=self._environment, cwd=_PROJECT, death_signal=kill)
        try:
            self._follow(process, start)
        finally:
            stop(process, how=kill)
        printed = self._printed(start)
        if process.returncode:
            raise CdkError(f"cdk {arguments[0]} failed (see {self._log_file}):\n{_tail(printed.splitlines())}")
        return printed

    def _follow(self, process: subprocess.Popen[bytes], start: int) -> None:
        said = 0
        while True:
            ended = process.poll() is not None
            lines = [line for line in self._printed(start).splitlines() if _PROGRESS.match(line)]
            for line in lines[said:]:
                self._say(line.strip())
            said = len(lines)
            if ended:
                return
            self._while_waiting()
            time.sleep(0.1)

    def _printed(self, start: int) -> str:
        with self._log_file.open("rb") as log:
            log.seek(start)
            return _COLOURS.sub("", log.read().decode(errors="replace"))


def _tail(lines: Sequence[str]) -> str:
    """The lines that explain a failure: those about one, else the last ones."""
    telling = [line for line in lines if re.search(r"error|fail|❌|not allowed|unrecognized", line, re.IGNORECASE)]
    return "\n".join((telling or lines)[-15:])
