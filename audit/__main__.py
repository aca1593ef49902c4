"""`make audit`: every pack over both stages, one table, and exit code 1 if anything is unexplained or out of date."""

import sys
from multiprocessing import get_context

from audit.report import audit, other_settings, problems, table
from audit.synthesis import NEEDED, quiet
from stacks.exceptions import decisions


def main() -> None:
    """Print the table, then what is wrong."""
    register = decisions()
    # A process each: the validator of one synthesis keeps its memory until the process ends.
    with get_context("spawn").Pool(2, initializer=quiet, maxtasksperchild=1) as processes:
        own = {stage: dict[str, str]() for stage in NEEDED}
        found = processes.starmap(audit, [*own.items(), *other_settings(register).items()], chunksize=1)
    audits, more = found[: len(NEEDED)], found[len(NEEDED) :]
    wrong = dict.fromkeys(problems([*audits, *more], register))
    sys.stdout.write("\n".join([*table(audits, register), *wrong, ""]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
