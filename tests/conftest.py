"""Which tests run here, and how two processes share them.

What a test needs and the machine lacks (see optional.py) is left out and counted. Whatever uses a fixture with
`params=SQL_ENGINES` runs once on each SQL engine; `@pytest.mark.only_on("mysql")` is for what only one of them has.
"""

import os
from collections import Counter
from typing import Any

import pytest

from tests.optional import PARTS, left_out

_REASONS = pytest.StashKey[dict[str, str]]()
_NOT_RUN = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Refuses an ENGINES that names anything else, and a machine that lacks what is insisted on."""
    # What tests start imports what they import, also where it was not make that started them.
    os.environ.setdefault("PYTHONPATH", os.pathsep.join(map(str, config.getini("pythonpath"))))
    config.stash[_REASONS] = left_out()
    config.stash[_NOT_RUN] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Takes out what an engine has not, counts what cannot run here, and puts the longest tests first."""
    reasons = config.stash[_REASONS]
    not_run: Counter[str] = Counter()
    kept = []
    for item in items:
        if _is_for_another_engine(item):
            continue
        lacking = [name for name in _needs(item) if name in reasons]
        if lacking:
            not_run[lacking[0]] += 1
        else:
            kept.append(item)
    # Two processes end at the same time when what takes minutes begins first.
    items[:] = sorted(kept, key=lambda item: not any(map(item.get_closest_marker, ("emulator", "long"))))
    config.stash[_NOT_RUN] = dict(not_run)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist tells the one that started it what it did not run."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not_run"] = session.config.stash[_NOT_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every process collects all tests: what one of them says is said for all."""
    node.config.stash[_NOT_RUN] = getattr(node, "workeroutput", {}).get("not_run", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says aloud what was not run, and why."""
    for name, number in config.stash[_NOT_RUN].items():
        tests = f"{number} test{'s' if number > 1 else ''} {PARTS[name].tests}"
        terminalreporter.write_line(f"NOT RUN: {tests}: {config.stash[_REASONS][name]}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process runs all tests of a file that share an engine, in their order."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByFileAndEngine(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            return f"{file} {next((name for name in PARTS if f'[{name}' in test), '')}"

    config.option.loadscopereorder = False
    return ByFileAndEngine(config, log)


def _is_for_another_engine(item: pytest.Item) -> bool:
    only, on = (_argument(item, marker) for marker in ("only_on", "runs_on"))
    return bool(only and on and on != only)


def _needs(item: pytest.Item) -> list[str]:
    engine = _argument(item, "only_on") or _argument(item, "runs_on")
    named = [part for part in PARTS if item.get_closest_marker(part)]
    return [*([engine] if engine else []), *named]


def _argument(item: pytest.Item, marker: str) -> str | None:
    found = item.get_closest_marker(marker)
    return found.args[0] if found else None
