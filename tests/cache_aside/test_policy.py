"""What a policy stores, and for how long."""

from decimal import Decimal

import msgspec
import pytest

from cache_aside import Policy


class Item(msgspec.Struct, frozen=True):
    name: str
    price: Decimal


ITEM = Policy(value_type=Item, schema_version=3, ttl_seconds=600, negative_ttl_seconds=30)


@pytest.mark.parametrize("price", ["0", "0.10", "19.90", "99999999.99"])
def test_decimals_survive_exactly(price: str) -> None:
    item = Item("Óak ☕ desk", Decimal(price))
    decoded = ITEM.decode(ITEM.encode(item))
    assert decoded == (item,)
    assert str(decoded[0].price) == price if decoded and decoded[0] else False


def test_absence_survives() -> None:
    assert ITEM.decode(ITEM.encode(None)) == (None,)


def test_stored_form_begins_with_the_schema_version() -> None:
    assert ITEM.encode(Item("a", Decimal("1.50"))) == b'[3,{"name":"a","price":1.50}]'


@pytest.mark.parametrize(
    "stored",
    [
        b'[2,{"name":"a","price":1}]',
        b'[3,{"name":"a"}]',
        b'[3,{"name":7,"price":1}]',
        b'[3,{"name":"a","price":1}',
        b'[3,{"name":"\xff","price":1}]',
        b"[3]",
        b"3",
        b"",
        b"[" * 100_000,
    ],
)
def test_what_this_release_did_not_write_is_not_read(stored: bytes) -> None:
    assert ITEM.decode(stored) is None


def test_jitter_spreads_the_time_to_live_both_ways_and_no_further() -> None:
    times = [ITEM.ttl_milliseconds(Item("a", Decimal(1))) for _ in range(2000)]
    assert 540_000 <= min(times) < 560_000
    assert 640_000 < max(times) <= 660_000


def test_time_to_live_is_never_zero() -> None:
    momentary = Policy(value_type=str, schema_version=1, ttl_seconds=0.0001, negative_ttl_seconds=0)
    assert momentary.ttl_milliseconds("value") == 1
    assert momentary.ttl_milliseconds(None) == 1
