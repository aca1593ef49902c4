"""`make audit`: every pack over both stages and both SQL engines, and one table.

The exit code is 1 if anything is unexplained or out of date.
"""

import sys
from collections.abc import Sequence

from audit.report import audit, other_settings, problems, table
from stacks.accepted_findings import decisions

SHOWN: Sequence[tuple[str, dict[str, str]]] = (("dev", {}), ("prod", {}), ("prod", {"database.engine": "mysql"}))


def main() -> None:
    """Print the table, then what is wrong."""
    register = decisions()
    found = audit([*SHOWN, *other_settings(register)])
    wrong = dict.fromkeys(problems(found, register))
    sys.stdout.write("\n".join([*table(found[: len(SHOWN)], register), *wrong, ""]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
