"""The table of docs/abuse.md: what the tests marked `attack` try, and what they found to hold.

A row is the mark of a test, `@pytest.mark.attack("what was tried", "what held")`, so that the page says what runs and
nothing else.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# In the order of the page: who somebody is, what reaches the app, what it does with that, and the laptop.
FILES = (
    "tests/storefront/abuse/test_guessing.py",
    "tests/storefront/test_passwords.py",
    "tests/storefront/abuse/test_forged_sessions.py",
    "tests/storefront/abuse/test_replayed_sessions.py",
    "tests/storefront/test_taken_away.py",
    "tests/storefront/test_roles.py",
    "tests/storefront/test_users.py",
    "tests/storefront/test_security_log.py",
    "tests/storefront/abuse/test_smuggling.py",
    "tests/storefront/abuse/test_connections.py",
    "tests/storefront/abuse/test_slow_clients.py",
    "tests/storefront/test_bodies.py",
    "tests/storefront/abuse/test_hostile_text.py",
    "tests/storefront/abuse/test_cache_keys.py",
    "tests/local/test_emulator_guard.py",
)


def attacks_table() -> Iterator[str]:
    """A row an attack."""
    yield "| attack | what held |"
    yield "|---|---|"
    for file in FILES:
        for tried, held in _attacks(ROOT / file):
            yield f"| [{tried}](../{file}) | {held} |"


def marked() -> set[str]:
    """Every file below tests/ with a marked test."""
    return {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py") if list(_attacks(path))}


def _attacks(path: Path) -> Iterator[tuple[str, str]]:
    for test in ast.parse(path.read_text()).body:
        for mark in test.decorator_list if isinstance(test, ast.FunctionDef) else ():
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.attack":
                tried, held = (str(ast.literal_eval(argument)) for argument in mark.args)
                yield tried, held
