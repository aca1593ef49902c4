"""`make audit`: every pack over both stages, one table, and exit code 1 if anything is unexplained or out of date."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from audit.report import audit, other_settings, problems, table
from audit.synthesis import NEEDED, quiet
from stacks.exceptions import decisions


def main() -> None:
    """Print the table, then what is wrong."""
    register = decisions()
    # A process each: the validator of one synthesis keeps its memory until the process ends.
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=quiet, max_tasks_per_child=1) as processes:
        own = [processes.submit(audit, stage, {}) for stage in NEEDED]
        others = [processes.submit(audit, stage, settings) for stage, settings in other_settings(register).items()]
        audits, more = ([future.result() for future in futures] for futures in (own, others))
    wrong = dict.fromkeys(problems([*audits, *more], register))
    sys.stdout.write("\n".join([*table(audits, register), *wrong, ""]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
