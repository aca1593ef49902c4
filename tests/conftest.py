"""Which SQL engines the tests run on: all, or those that ENGINES names (`ENGINES=postgres`, a comma between several).

Whatever has the fixture `engine` runs once on each; `@pytest.mark.only_on("mysql")` is for what only one of them has.
"""

import os

import pytest

SQL_ENGINES = ("postgres", "mysql")
_LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Refuses an ENGINES that names anything else."""
    unknown = [name for name in _wanted() if name not in SQL_ENGINES]
    if unknown or not _wanted():
        raise pytest.UsageError(f"ENGINES={os.environ['ENGINES']}: name some of {', '.join(SQL_ENGINES)}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test an engine."""
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", SQL_ENGINES, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Takes out what an engine has not, and what ENGINES does not name, which is counted."""
    left_out = dict.fromkeys(SQL_ENGINES, 0)
    kept = []
    for item in items:
        only = item.get_closest_marker("only_on")
        on = _parameter(item) or (only.args[0] if only else None)
        if only and on != only.args[0]:
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
    return SQL_ENGINES if given is None else tuple(name.strip() for name in given.split(",") if name.strip())


def _parameter(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("engine") if callspec else None
