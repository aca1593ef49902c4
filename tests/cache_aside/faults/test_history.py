"""What clients in several processes see while everything around them breaks; HISTORY_SECONDS prolongs it."""

import os

import pytest

from faults.campaign import CAMPAIGNS, run
from faults.history import Read, Write, violations

SECONDS = float(os.environ.get("HISTORY_SECONDS", "32"))


def read(begin: float, version: int) -> Read:
    return Read("k", begin, begin + 0.1, version, "HIT")


def write(acknowledged: float, version: int) -> Write:
    return Write("k", acknowledged, version, True)


def test_read_that_begins_after_an_acknowledgement_owes_its_version() -> None:
    (found,) = violations([write(1, 7), read(0.9, 6), read(1.1, 6), read(1.2, 7)])
    assert (found.read.begin, found.owed) == (1.1, 7)


def test_bound_forgives_reads_that_begin_within_it() -> None:
    history: list[Read | Write] = [write(1, 7), read(1.9, 6), read(2.1, 6)]
    assert [found.read.begin for found in violations(history, bound_seconds=1)] == [2.1]


def test_later_acknowledgement_of_an_older_version_takes_nothing_back() -> None:
    assert violations([write(1, 7), write(2, 6), read(3, 6)])


@pytest.mark.engines
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_no_history_shows_a_read_older_than_the_published_bound(name: str) -> None:
    report = run(name, SECONDS / len(CAMPAIGNS))
    assert report.reads > 100
    assert report.writes > 10
    assert not report.broken, report
