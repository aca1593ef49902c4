"""Every command that the pages show names only what exists."""

import re

import pytest

from stacks.settings import DEFAULT_STAGE, load
from tests.docs.commands import problems
from tests.docs.pages import Page, name_of, pages


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_command_exists(page: Page) -> None:
    assert [problem for command in page.commands for problem in problems(command)] == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_bootstrap_that_is_to_be_copied_has_the_settings_that_the_app_needs(page: Page) -> None:
    # The CDK CLI synthesizes the app before it bootstraps.
    for command in page.commands:
        if "cdk bootstrap aws://" in command:
            load(DEFAULT_STAGE, dict(re.findall(r"-c +([\w.]+)=(\S+)", command)))


def test_pages_have_commands() -> None:
    assert sum(len(page.commands) for page in pages()) > 50


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("make nothing", "make nothing: no such rule"),
        ("WORKERS=2 make up and-down", "make and-down: no such rule"),
        ("NOBODY=1 make up", "NOBODY: nothing reads it"),
        ("make soak NOBODY=1", "NOBODY: nothing reads it"),
        ("NOBODY=1", "NOBODY: nothing reads it"),
        ("npx cdk synth -c stage=prod -c cache.colour=red", "-c cache.colour: no such setting"),
        ('make deploy SETTINGS="-c colour=red"', "-c colour: no such setting"),
        ("python -m local.down", "python -m local.down: no such module"),
        ("python -m nobody", "python -m nobody: no such module"),
        ("npx cdk deploy --all --no-rolback", "npx cdk --no-rolback: no such option"),
        ("aws rds delete-everything", "aws rds delete-everything: no such operation"),
        (
            "aws rds delete-db-snapshot --snapshot x --region r",
            "aws rds delete-db-snapshot --snapshot: no such option",
        ),
        ("pytest tests/nowhere", "tests/nowhere: no such file"),
        ("curl -i localhost:8080/nothing/1", "GET /nothing/1: the app has no such operation"),
        (
            "curl -X DELETE 'http://localhost:8080/leaderboard?x=1'",
            "DELETE /leaderboard: the app has no such operation",
        ),
        ("curl localhost:8080/leaderboard -d '{}'", "POST /leaderboard: the app has no such operation"),
    ],
)
def test_command_that_cannot_be_run_is_found(command: str, problem: str) -> None:
    assert problems(command) == [problem]


@pytest.mark.parametrize(
    "command",
    [
        "WORKERS=2 DATABASE=mysql make up   # make coffee",
        "make soak MINUTES=30",
        'make deploy STAGE=dev SETTINGS="-c account=111122223333 -c web.allowed_cidrs=203.0.113.7/32"',
        "python3 -m venv v && python -m faults.mutants",
        "pytest tests/docs/test_links.py",
        "curl -i -X PUT localhost:8080/products/42 -d '{}'; curl localhost:8080/leaderboard",
    ],
)
def test_command_that_can_be_run_is_none(command: str) -> None:
    assert problems(command) == []
