"""`make iam`: every call of the functions and of AWS's services, decided over the policies of both stages.

The exit code is 1 if a call is decided otherwise than it must be, if it is still decided so without the statements that
decide it, or if a role may do what nothing here does.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["CDK_VALIDATION"] = "false"  # read when aws_cdk is imported; `make audit` has it on

from audit.iam.boundary import NAME, boundary
from audit.iam.report import Simulation
from audit.synthesis import synthesize

STAGES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("dev", {}),
    ("prod", {}),
    ("prod", {"database.engine": "mysql"}),
    ("prod", {"cache.auth": "iam"}),
    ("prod", {"permissions_boundary": NAME}),
)


def simulation(stage: str, settings: Mapping[str, str]) -> Simulation:
    """A stage with these settings; the boundary is the example that the CDK CLI bootstraps."""
    with TemporaryDirectory() as directory:
        audited = synthesize(stage, Path(directory), settings, acknowledged=True)
    return Simulation(audited.templates, boundary() if "permissions_boundary" in settings else None)


def main() -> None:
    """Print a table a stage, then what is wrong, then the count."""
    wrong: list[str] = []
    counted = 0
    for stage, settings in STAGES:
        found = simulation(stage, settings)
        name = " ".join([stage, *(f"{key}={value}" for key, value in settings.items())])
        counted += len(found.requests)
        problems = list(found.problems())
        wrong += [f"{name}: {problem}" for problem in problems]
        sys.stdout.write("\n".join([f"\n## {name}: {len(found.requests)} calls", *found.table(), ""]))
        sys.stdout.flush()
    sys.stdout.write("\n".join(["", *wrong, f"{counted} calls, {len(wrong)} problems", ""]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
