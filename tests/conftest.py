"""Which SQL engines the tests run on: all, or those that ENGINES names (`ENGINES=postgres`, a comma between several).

Whatever uses a fixture with `params=SQL_ENGINES` runs once on each; `@pytest.mark.only_on("mysql")` is for what only
one of them has.
"""

import os

import pytest

from tests.sql_engines import NAMES

_LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Refuses an ENGINES that names anything else."""
    unknown = [name for name in _wanted() if name not in NAMES]
    if unknown or not _wanted():
        raise pytest.UsageError(f"ENGINES={os.environ['ENGINES']}: name some of {', '.join(NAMES)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Takes out what an engine has not, and what ENGINES does not name, which is counted."""
    left_out = dict.fromkeys(NAMES, 0)
    kept = []
    for item in items:
        only = _argument(item, "only_on")
        on = _argument(item, "runs_on") or only
        if only and on != only:
            continue
        if on is None or on in _wanted():
            kept.append(item)
        else:
            left_out[on] += 1
    items[:] = kept
    config.stash[_LEFT_OUT] = {name: number for name, number in left_out.items() if number}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what ENGINES left out."""
    for name, number in config.stash.get(_LEFT_OUT, {}).items():
        terminalreporter.write_line(f"NOT RUN: {number} tests on {name}, because of ENGINES={os.environ['ENGINES']}")


def _wanted() -> tuple[str, ...]:
    given = os.environ.get("ENGINES")
    return NAMES if given is None else tuple(name.strip() for name in given.split(",") if name.strip())


def _argument(item: pytest.Item, marker: str) -> str | None:
    found = item.get_closest_marker(marker)
    return found.args[0] if found else None
