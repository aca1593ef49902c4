"""What a long command shows: plain lines, and on a terminal below them one that moves, with the time."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn


class Live:
    """Lines for `with Live() as live`. Where there is no terminal they are all that is printed, without any colour.

    On a terminal the last line also stays at the bottom with the seconds since it was said. With `total`, there is a
    bar instead, which `show` moves.
    """

    def __init__(self, what: str = "", *, total: int | None = None) -> None:
        self._console = Console(force_terminal=sys.stdout.isatty(), soft_wrap=True, markup=False, highlight=False)
        columns: list[ProgressColumn] = [TimeElapsedColumn(), TextColumn("{task.description}", markup=False)]
        if total is not None:
            columns += [BarColumn(), MofNCompleteColumn()]
        self._progress = Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(what, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.rest()

    def say(self, line: str) -> None:
        """Prints the line, at once."""
        self._console.print(line, soft_wrap=True)
        self._console.file.flush()
        self._progress.reset(self._task, description=line)

    def show(self, done: int) -> None:
        """Moves the bar to so many of `total`."""
        self._progress.update(self._task, completed=done)

    def rest(self) -> None:
        """Nothing goes on any more: takes the line that moves away."""
        self._progress.stop()
