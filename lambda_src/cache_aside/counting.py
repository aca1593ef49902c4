"""Counting events, such as failed logins, in windows that the server ends: for limits that all processes share."""

from collections.abc import Sequence

import msgspec

from cache_aside.commands import RoundTrip, Steps, clear_counts, count_one


class Count(msgspec.Struct, frozen=True):
    """How often a key was counted since its window began, this time included, and how long the window still lasts."""

    total: int
    seconds_left: float


def count(keys: Sequence[str], window_seconds: float) -> Steps[list[Count]]:
    """Count each key once more, in one round trip; in the order of the keys."""
    replies = yield RoundTrip([count_one(key, round(window_seconds * 1000)) for key in keys])
    return [Count(total, left_ms / 1000) for total, left_ms in replies]


def clear(keys: Sequence[str]) -> Steps[None]:
    """Count these keys from nothing again."""
    yield RoundTrip([clear_counts(keys)])
