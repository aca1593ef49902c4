"""Breaks the protocol in each known way and shows that the history check notices: `python -m tests.faults.mutants`."""

import subprocess
import sys

import msgspec

from tests.faults.campaign import Report
from tests.faults.mutations import MUTATIONS

SECONDS = {"calm": 6, "cuts": 12, "failovers": 12}


def survives(name: str) -> Report | None:
    """The report of the run that failed to notice; None: the mutation was caught."""
    campaign, _ = MUTATIONS[name]
    command = [sys.executable, "-m", "tests.faults.campaign", campaign, str(SECONDS[campaign]), name]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    report = msgspec.json.decode(output, type=Report)
    first = report.violations[0] if report.violations else None
    if not report.broken:
        return report
    evidence = f"read {first.read.version}, owed {first.owed}" if first else report.disagreements[0]
    sys.stdout.write(f"caught    {name:34} {campaign:10} {len(report.violations)}+ stale reads, e.g. {evidence}\n")
    return None


def main() -> int:
    """How many mutations survived."""
    survivors = 0
    for name in sys.argv[1:] or MUTATIONS:
        if (report := survives(name)) is not None:
            survivors += 1
            sys.stdout.write(f"SURVIVED  {name}: {report}\n")
        sys.stdout.flush()
    return survivors


if __name__ == "__main__":
    sys.exit(main())
