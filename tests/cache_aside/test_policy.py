"""Policies refuse what cannot work, and keep to what they say."""

import copy
import pickle
import time
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_aside import AsyncCacheAside, CacheAside, Credentials, Options, Policy, PolicyError
from cache_aside.dns import Resolver
from faults.fake_server import FakeServer
from tests.cache_aside.harness import FakeTransport


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


WRONG_SECONDS: list[Any] = [-1, "5", None, True, float("nan"), float("-inf"), timedelta(seconds=5), Decimal(5), [5]]
TIMES = ["load_timeout_seconds", "negative_ttl_seconds", "stale_if_error_seconds"]


@pytest.mark.parametrize("given", WRONG_SECONDS, ids=repr)
@pytest.mark.parametrize("name", ["ttl_seconds", *TIMES])
def test_what_is_no_number_of_seconds_is_refused_with_an_example(name: str, given: Any) -> None:
    hint = r" \(a timedelta's \.total_seconds\(\)\)" if isinstance(given, timedelta) else ""
    with pytest.raises(PolicyError, match=rf"{name} of policy 'number' must be a number .* such as \d+{hint}, not "):
        policy(**{name: given})


@pytest.mark.parametrize("name", [*TIMES[::2], "wait_timeout_seconds", "early_refresh_beta"])
def test_only_a_ttl_may_be_endless(name: str) -> None:
    with pytest.raises(PolicyError, match=f"{name} of policy 'number' must be a number .* and at most "):
        policy(**{name: float("inf")})
    assert policy(ttl_seconds=float("inf"), negative_ttl_seconds=float("inf")).lifetime_seconds(1) > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"max_bytes": 1.5},
        {"max_bytes": True},
        {"schema_version": "2"},
        {"background": "yes"},
        {"fail_closed": 1},
        {"stale_errors": TimeoutError},
        {"stale_errors": [TimeoutError]},
        {"stale_errors": (KeyboardInterrupt,)},
    ],
    ids=str,
)
def test_setting_of_another_type_is_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=f"{next(iter(settings))} of policy 'number' must be .*, not "):
        policy(**settings)


@pytest.mark.parametrize("name", [None, 42, b"product", ""], ids=repr)
def test_name_of_a_policy_is_a_str(name: Any) -> None:
    with pytest.raises(PolicyError, match="name of a policy must be a str such as 'product', not "):
        Policy(name=name, value_type=int, ttl_seconds=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"connect_timeout_seconds": 0},
        {"read_timeout_seconds": "0.2"},
        {"probe_interval_seconds": float("nan")},
        {"probe_timeout_seconds": None},
        {"invalidation_seconds": timedelta(seconds=1)},
        {"bypass_wait_seconds": -1},
        {"bypass_concurrency": 0},
        {"background_workers": 0},
        {"connections": 0},
        {"connections": 1.5},
        {"retry_after_seconds": -1},
        {"background": None},
    ],
    ids=str,
)
def test_option_that_cannot_work_is_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=f"{next(iter(settings))} of Options must be .*, not "):
        Options(**settings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"host": None}, "host must be a DNS name such as 'localhost', not None"),
        ({"port": "6379"}, "port must be an int from 1 to 65535, such as 6379, not '6379'"),
        ({"port": 0}, "port must be an int"),
        ({"tls": None}, r"tls must be True, False \(plain text\) or an ssl.SSLContext, not None"),
        ({"auth_token": b"secret"}, "auth_token must be a str, a function .* or None, not bytes"),
        ({"namespace": "a:b"}, "namespace must be a str without ':' such as 'shop', not 'a:b'"),
        ({"namespace": None}, "namespace must be a str"),
        ({"namespace": "\ud800"}, "namespace must be a str that UTF-8 can encode, such as 'shop'"),
        ({"namespace": "ü" * 128}, "namespace has 255 bytes at most, such as 'shop'; this one has 256"),
        ({"host": "localhost:6379"}, "host must be a DNS name such as 'localhost', without scheme or port, not"),
        ({"host": "redis://localhost"}, "without scheme or port"),
        ({"host": "a..b"}, "host must be a DNS name"),
        ({"host": "a" * 64 + ".com"}, "host must be a DNS name"),
        ({"host": "a\0b"}, "host must be a DNS name"),
        ({"auth_token": ""}, "auth_token is empty: give the token, or None for a server that asks for none"),
        ({"options": None}, r"options must be Options\(\.\.\.\), not None"),
        ({"options": {}}, "options must be Options"),
    ],
    ids=lambda given: repr(given)[:30],
)
@pytest.mark.parametrize("client", [CacheAside, AsyncCacheAside])
def test_endpoint_that_is_none_is_refused(client: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        client.connect(**{"host": "localhost", **given})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "cache.example.com.", "my_cache", "bücher.example"])
@pytest.mark.parametrize("client", [CacheAside, AsyncCacheAside])
def test_names_and_addresses_are_endpoints(client: Any, host: str) -> None:
    client.connect(host, namespace="ü" * 127)


def test_token_in_place_of_what_reads_it_is_refused_and_not_shown() -> None:
    token: Any = "s3cret"
    with pytest.raises(TypeError, match=r"read must be a plain function that returns the token, not str$"):
        Credentials(token)


def test_seconds_of_any_kind_of_number_become_floats() -> None:
    fifth = Fraction(1, 5)
    options = Options(read_timeout_seconds=fifth, connect_timeout_seconds=fifth)  # type: ignore[arg-type]
    made = policy(load_timeout_seconds=fifth, stale_if_error_seconds=fifth)
    given = [
        options.read_timeout_seconds,
        options.connect_timeout_seconds,
        made.load_timeout_seconds,
        made.stale_if_error_seconds,
    ]
    assert [(type(number), number) for number in given] == [(float, 0.2)] * 4


class Shorter(Policy[int]):
    pass


def test_copy_of_a_subclass_of_policy_is_of_that_subclass() -> None:
    made = Shorter(name="number", value_type=int, ttl_seconds=1)
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):  # noqa: S301 - our own
        assert (type(again), again) == (Shorter, made)


def test_name_that_cannot_be_looked_up_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="label"):
        Resolver().resolve("a..b", 6379, 10)


@pytest.mark.parametrize("given", [Decimal(5), timedelta(seconds=5), None, "5", True, float("nan")], ids=repr)
def test_ttl_function_that_returns_no_number_is_told_once(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    named = f"ttl {given!r}"
    told = Policy[int](name=named, value_type=int, ttl_seconds=lambda _: given)
    cache = CacheAside(FakeTransport(FakeServer(time.time)))
    for number in range(3):
        assert cache.get_or_load(f"number:{number}", lambda: 1, policy=told).value == 1
    (record,) = [record for record in caplog.records if named in record.getMessage()]
    assert "ttl_seconds function of policy" in record.getMessage()
    assert "must return a number" in record.getMessage()


def test_ttl_may_be_any_real_number() -> None:
    assert policy(ttl_seconds=Fraction(5, 2), jitter=0).lifetime_seconds(1) == 2.5
    assert policy(ttl_seconds=lambda _: Fraction(5, 2), jitter=0).lifetime_seconds(1) == 2.5


def test_policy_can_be_pickled_copied_and_compared() -> None:
    made = policy(stale_if_error_seconds=5)
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):  # noqa: S301 - our own
        assert again == made
        fill = again.codec.encode("a", 1, expires=1, load_seconds=0)
        assert made.codec.read("a", fill, 0, lambda: 0.0).value == 1
