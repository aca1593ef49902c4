"""The JSON that goes in and out."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_PRICE = Decimal("99999999.99")
_CENT = Decimal("0.01")


class Price(Decimal):
    """An exact amount from 0 to 99999999.99, in whole hundredths."""


# PostgreSQL's text cannot hold U+0000.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\x00]*$", examples=["Oak Desk"])]
Username = Annotated[str, Meta(min_length=1, max_length=100, pattern="^[^\\x00]*$")]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]


class ProductInput(msgspec.Struct):
    """A product as a client writes it. Other members are ignored."""

    name: Name
    price: Price


class ProductOutput(msgspec.Struct):
    """A product as a client reads it. The price always has two decimals: 19.90."""

    id: int
    name: str
    price: Decimal


class Credentials(msgspec.Struct):
    """Who wants to log in."""

    username: Username
    password: Password


class SessionCreated(msgspec.Struct):
    """The bearer token of a new session, shown this once."""

    token: str
    expires_at: datetime


class CurrentSession(msgspec.Struct):
    """Who is logged in, and until when."""

    username: str
    expires_at: datetime


class LogoutPending(msgspec.Struct):
    """The session has ended, but the cache could not be told everywhere yet.

    Whoever reaches the cache may still be let in with the token, for at most `holds_within_seconds` once the cache can
    be reached again. While it cannot, the token is refused, as the database is asked.
    """

    holds_within_seconds: int


class Liveness(msgspec.Struct):
    """The process serves."""

    status: str


class Readiness(msgspec.Struct):
    """What the process depends on: each `available` or `unavailable`."""

    cache: str
    database: str


class Problem(msgspec.Struct):
    """An error (RFC 9457). `cache` and `database` are there when the app is not ready."""

    title: str
    status: int
    type: Literal["about:blank"] = "about:blank"
    detail: str | UnsetType = UNSET
    cache: str | UnsetType = UNSET
    database: str | UnsetType = UNSET


class OpenApiDocument(msgspec.Struct):
    """The description of all operations."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


encode = msgspec.json.Encoder(decimal_format="number").encode


def decoder(body_type: type[Any]) -> "msgspec.json.Decoder[Any]":
    """Decodes a request body; numbers stay exact."""
    return msgspec.json.Decoder(body_type, dec_hook=_decode_hook, float_hook=_exact)


def schema_hook(custom: type[Any]) -> dict[str, Any]:
    """The JSON schema of the types that msgspec does not know."""
    if custom is Price:
        return {"type": "number", "minimum": 0, "maximum": float(MAX_PRICE), "multipleOf": float(_CENT)}
    raise NotImplementedError(custom)


def _exact(number: str) -> Decimal:
    try:
        return Decimal(number)
    except InvalidOperation:
        raise ValueError("Expected a `number` within bounds") from None


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
