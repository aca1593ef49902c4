"""Policies refuse what cannot work, and keep to what they say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_aside import Policy, PolicyError


def policy(**settings: Any) -> Policy[int]:
    return Policy[int](name="number", value_type=int, **{"ttl_seconds": 60, **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"ttl_seconds": 0},
        {"ttl_seconds": float("nan")},
        {"negative_ttl_seconds": -1},
        {"jitter": 1},
        {"jitter": -0.1},
        {"max_bytes": 0},
        {"load_timeout_seconds": 0},
        {"wait_timeout_seconds": -1},
        {"early_refresh_beta": -1},
        {"stale_if_error_seconds": -1},
        {"soft_timeout_seconds": 1},
    ],
    ids=str,
)
def test_setting_that_cannot_work_is_refused_by_name(settings: dict[str, float]) -> None:
    with pytest.raises(PolicyError, match=f"{next(iter(settings))} of policy 'number'"):
        policy(**settings)


@given(st.floats(0.01, 1e6), st.floats(0, 0.99))
def test_jitter_shortens_a_ttl_and_never_by_more_than_its_share(ttl: float, jitter: float) -> None:
    lifetime = policy(ttl_seconds=ttl, jitter=jitter).lifetime_seconds(1)
    assert ttl * (1 - jitter) * 0.999 <= lifetime <= ttl


@given(st.floats(-10, 1e6))
def test_ttl_of_a_value_may_be_computed(ttl: float) -> None:
    assert policy(ttl_seconds=lambda _: ttl, jitter=0).lifetime_seconds(1) == ttl


@given(st.floats(0.001, 1e4), st.none() | st.floats(0, 1e4))
def test_readers_wait_as_long_as_a_load_may_take_unless_told_otherwise(load: float, waiting: float | None) -> None:
    made = policy(load_timeout_seconds=load, wait_timeout_seconds=waiting)
    assert made.patience_seconds == (load if waiting is None else waiting)
    assert made.lease_ms >= 1
