"""Breaks the protocol in each known way and shows that a check notices: `python -m faults.mutants [NAME...]`."""

import subprocess
import sys

import msgspec

from faults.campaign import Report
from faults.model import explore, two_threads
from faults.mutations import MUTATIONS

SECONDS = {"calm": 8, "cuts": 12, "failovers": 12}


def evidence(name: str) -> str:
    """What gave the mutation away; empty: nothing did."""
    check, _ = MUTATIONS[name]
    if check == "interleavings":
        command = [sys.executable, "-m", "faults.mutants", "--interleavings", name]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    command = [sys.executable, "-m", "faults.campaign", check, str(SECONDS[check]), name]
    report = msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, type=Report)
    if report.violations:
        first = report.violations[0]
        return f"read version {first.read.version} {first.late_seconds:.3f} s after {first.owed} was acknowledged"
    return "; ".join(report.disagreements[:1])


def interleavings(name: str) -> str:
    """Break the protocol of this process and enumerate."""
    MUTATIONS[name][1]()
    try:
        explore(two_threads, most_preemptions=3)
    except AssertionError as error:
        return str(error)
    return ""


def main() -> int:
    """How many mutations survived."""
    survivors = 0
    for name in sys.argv[1:] or MUTATIONS:
        found = evidence(name)
        survivors += not found
        verdict = "caught by " + MUTATIONS[name][0] if found else "SURVIVED"
        sys.stdout.write(f"{name:36} {verdict:24} {found}\n")
        sys.stdout.flush()
    return survivors


if __name__ == "__main__":
    if sys.argv[1:2] == ["--interleavings"]:
        sys.stdout.write(interleavings(sys.argv[2]))
    else:
        sys.exit(main())
