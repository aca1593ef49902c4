"""Stock and sales."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta


class Stock(msgspec.Struct):
    """How many of a product there are."""

    available: Annotated[int, Meta(ge=0, le=1_000_000_000)]


class PurchaseInput(msgspec.Struct):
    """What somebody wants to buy."""

    quantity: Annotated[int, Meta(ge=1, le=1000)]


class PurchaseOutput(msgspec.Struct):
    """What somebody bought, at the price of that moment."""

    id: int
    product_id: int
    quantity: int
    unit_price: Decimal
    total: Decimal


class LeaderboardQuery(msgspec.Struct):
    """How long the list may be."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 10
