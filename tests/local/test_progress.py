"""What long commands show, on a terminal and elsewhere."""

import os
import pty
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from local.progress import Live
with Live() as live:
    live.say("[1/2] first")
    live.say("second")
with Live("purchases", total=2) as live:
    live.show(1)
print("end")
"""


def run(stdout: int) -> None:
    environment = {**os.environ, "TERM": "xterm", "FORCE_COLOR": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", PROGRAM], stdout=stdout, env=environment, check=True)


def test_plain_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    with (tmp_path / "output").open("w") as output:
        run(output.fileno())
    assert (tmp_path / "output").read_text() == "[1/2] first\nsecond\nend\n"


def test_moving_line_with_the_time_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    run(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(theirs)
    os.close(ours)
    assert "[1/2] first\r\n" in shown
    assert "0:00:00" in shown
    assert "1/2" in shown.partition("purchases")[2]
    assert shown.endswith("end\r\n")
