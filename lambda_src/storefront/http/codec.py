"""JSON in and out; numbers stay exact."""

import math
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_PRICE = Decimal("99999999.99")
_CENT = Decimal("0.01")
_MOST_DIGITS = 19


class Price(Decimal):
    """An exact amount from 0 to 99999999.99, in whole hundredths."""


def _exact(text: str) -> int | Decimal | float:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return math.inf  # an exponent of twenty digits
    small = number.adjusted() < _MOST_DIGITS
    return int(number) if small and number == number.to_integral_value() else number


encode = msgspec.json.Encoder(decimal_format="number").encode


_read = msgspec.json.Decoder(float_hook=_exact).decode


def decoder(body_type: type[Any]) -> Callable[[bytes], Any]:
    """Decodes a request body, in two steps: JSON Schema takes 1.0 for an integer, but msgspec's decoders do not."""
    return lambda body: msgspec.convert(_read(body), body_type, dec_hook=_decode_hook)


def schema_hook(custom: type[Any]) -> dict[str, Any]:
    """The JSON schema of the types that msgspec does not know."""
    if custom is Price:
        return {"type": "number", "minimum": 0, "maximum": float(MAX_PRICE), "multipleOf": float(_CENT)}
    raise NotImplementedError(custom)


def _decode_hook(expected: type[Any], value: object) -> object:
    if expected is not Price:
        raise NotImplementedError(expected)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("Expected `number`")  # noqa: TRY004 - what msgspec turns into a ValidationError with the path
    if not 0 <= value <= MAX_PRICE:
        raise ValueError(f"Expected `number` from 0 to {MAX_PRICE}")
    price = Decimal(value).quantize(_CENT) + 0  # never -0.00
    if price != value:
        raise ValueError("Expected `number` with at most two decimals")
    return Price(price)
