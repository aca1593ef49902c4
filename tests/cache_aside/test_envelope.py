"""Envelopes: what is written is read back, and nothing else ever is."""

import dataclasses
import math
import time
from typing import Any, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_aside import CacheAside, Policy, PolicyError, Result, Served
from cache_aside.envelope import Codec, State, new_lease, schema_id
from faults.fake_server import FakeServer
from tests.cache_aside.harness import FakeTransport

T = TypeVar("T")

KEY = "small:1"
NOW = 1_800_000_000.0


class Small(msgspec.Struct):
    number: int
    text: str
    parts: list[float] = []


class Larger(Small):
    more: bool = False


values = st.builds(Small, number=st.integers(-(2**63), 2**64 - 1), text=st.text(), parts=st.lists(st.floats(-1e9, 1e9)))
SMALL = Codec(Small, schema_id(Small, 1), early_refresh_beta=1, stale_seconds=30)


def undrawn() -> float:
    return 0.0


@given(values | st.none(), st.floats(0.001, 1e6), st.floats(0, 1e5))
def test_fill_is_read_back_until_it_expires(value: Small | None, lifetime: float, load_seconds: float) -> None:
    entry = SMALL.read(
        KEY, SMALL.encode(KEY, value, expires=NOW + lifetime + 0.001, load_seconds=load_seconds), NOW, undrawn
    )
    assert (entry.state, entry.value, entry.claimed) == (State.FRESH, value, False)


@given(values)
def test_claim_changes_the_bytes_and_keeps_the_value(value: Small) -> None:
    fill = SMALL.encode(KEY, value, expires=NOW + 10, load_seconds=1)
    head = SMALL.claim(fill, until=NOW + 5)
    claim = head + fill[len(head) :]
    assert claim != fill
    held, over = SMALL.read(KEY, claim, NOW, undrawn), SMALL.read(KEY, claim, NOW + 6, undrawn)
    assert (held.state, held.value, held.claimed, over.claimed) == (State.FRESH, value, True, False)


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail_or_pass_for_a_value(raw: bytes) -> None:
    assert SMALL.read(KEY, raw, NOW, undrawn).state in (State.UNREADABLE, State.LEASED, State.MARKED)


@given(values, st.data())
def test_damaged_envelope_never_makes_reading_fail(value: Small, data: st.DataObject) -> None:
    fill = bytearray(SMALL.encode(KEY, value, expires=NOW + 10, load_seconds=1))
    fill[data.draw(st.integers(0, len(fill) - 1))] ^= data.draw(st.integers(1, 255))
    SMALL.read(KEY, bytes(fill), NOW, undrawn)
    SMALL.read(KEY, bytes(fill[: data.draw(st.integers(0, len(fill)))]), NOW, undrawn)


def test_equal_values_make_different_envelopes() -> None:
    assert SMALL.encode(KEY, None, expires=NOW, load_seconds=0) != SMALL.encode(KEY, None, expires=NOW, load_seconds=0)
    assert new_lease() != new_lease()


def test_expired_value_may_stand_in_for_as_long_as_the_policy_keeps_it() -> None:
    fill = SMALL.encode(KEY, Small(1, ""), expires=NOW, load_seconds=0)
    assert SMALL.read(KEY, fill, NOW + 29, undrawn).stale_ok
    assert not SMALL.read(KEY, fill, NOW + 31, undrawn).stale_ok


def test_early_refresh_is_drawn_more_often_near_expiry_and_for_slow_loads() -> None:
    fill = SMALL.encode(KEY, Small(1, ""), expires=NOW + 10, load_seconds=2)
    draw = 1 - math.exp(-3)  # 3 times the load's 2 s before expiry
    assert not SMALL.read(KEY, fill, NOW + 3.9, lambda: draw).refresh_due
    assert SMALL.read(KEY, fill, NOW + 4.1, lambda: draw).refresh_due


def test_claimed_value_is_not_refreshed_twice() -> None:
    fill = SMALL.encode(KEY, Small(1, ""), expires=NOW + 10, load_seconds=2)
    head = SMALL.claim(fill, until=NOW + 5)
    claim = head + fill[len(head) :]
    assert not SMALL.read(KEY, claim, NOW, lambda: 1 - 1e-15).refresh_due


@pytest.mark.parametrize(("value_type", "version"), [(Larger, 1), (Small, 2), (dict[str, int], 1)])
def test_other_shape_or_version_is_another_schema(value_type: type, version: int) -> None:
    assert schema_id(value_type, version) != schema_id(Small, 1)


def test_dataclass_and_typed_dict_are_value_types() -> None:
    @dataclasses.dataclass
    class Point:
        x: int

    class Row(TypedDict):
        x: int

    assert schema_id(Point, 1) == schema_id(Point, 1)
    assert schema_id(Row, 1)


def test_type_that_cannot_be_serialized_is_refused() -> None:
    with pytest.raises(PolicyError, match="cannot serialize"):
        Policy(name="odd", value_type=type, ttl_seconds=1)


@given(values, st.text(min_size=1))
def test_value_is_read_under_no_other_key(value: Small, key: str) -> None:
    fill = SMALL.encode(KEY, value, expires=NOW + 10, load_seconds=1)
    assert SMALL.read(KEY, fill, NOW, undrawn).state is State.FRESH
    assert key == KEY or SMALL.read(key, fill, NOW, undrawn).state is State.UNREADABLE


def test_deeply_nested_entry_is_unreadable_and_raises_nothing() -> None:
    nested = Codec(list, schema_id(list, 1), early_refresh_beta=1, stale_seconds=0)
    fill = nested.seal(KEY, b"[" * 100_000 + b"]" * 100_000, expires=NOW + 10, load_seconds=1)
    assert nested.read(KEY, fill, NOW, undrawn).state is State.UNREADABLE


class Model(pydantic.BaseModel):
    number: int
    parts: list[float] = []


def codec_of(model: type[T]) -> Codec[T]:
    return Codec(model, schema_id(model, 1), early_refresh_beta=1, stale_seconds=0)


class Renamed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    number: int = pydantic.Field(alias="productNumber")

    @pydantic.computed_field
    def twice(self) -> int:
        return 2 * self.number


def test_pydantic_model_with_aliases_and_computed_fields_is_read_back() -> None:
    value = Renamed(productNumber=1)
    assert codec_of(Renamed).body(value)[1] == value


class Secret(pydantic.BaseModel):
    token: pydantic.SecretStr


class Excluded(pydantic.BaseModel):
    kept: int
    internal: str = pydantic.Field(default="x", exclude=True)


class Extended(Model):
    more: int = 0


@pytest.mark.parametrize(
    "value",
    [Secret(token=pydantic.SecretStr("s3cret")), Excluded(kept=1, internal="loaded"), Extended(number=1, more=2)],
    ids=["masked", "excluded", "subclass"],
)
def test_model_that_json_takes_something_from_is_not_cached_and_its_reader_gets_what_was_loaded(value: Any) -> None:
    declared = Model if isinstance(value, Extended) else type(value)
    rules = Policy[Any](name=f"lossy {type(value).__name__}", value_type=declared, ttl_seconds=60, early_refresh_beta=0)
    cache = CacheAside(FakeTransport(FakeServer(time.time)))
    found = [cache.get_or_load(KEY, lambda: value, policy=rules) for _ in range(2)]
    assert found == [Result(value, Served.MISS)] * 2
    with pytest.raises(ValueError, match="a hit would be another value") as refused:
        rules.codec.body(value)
    assert "s3cret" not in str(refused.value)


def test_nan_does_not_become_none() -> None:
    with pytest.raises(ValueError, match="JSON loses NaN"):
        Policy[Any](name="n", value_type=float | None, ttl_seconds=1).codec.body(math.nan)  # type: ignore[arg-type]


def test_pydantic_model_is_a_value_type() -> None:
    codec = Codec(Model, schema_id(Model, 1), early_refresh_beta=1, stale_seconds=0)
    fill = codec.encode(KEY, Model(number=1, parts=[0.5]), expires=NOW + 10, load_seconds=1)
    assert codec.read(KEY, fill, NOW, undrawn).value == Model(number=1, parts=[0.5])
    other = codec.seal(KEY, b'{"number": "no number"}', expires=NOW + 10, load_seconds=1)
    assert codec.read(KEY, other, NOW, undrawn).state is State.UNREADABLE
