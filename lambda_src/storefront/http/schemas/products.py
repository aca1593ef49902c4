"""Products."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from storefront.http.codec import Price

# PostgreSQL's text cannot hold U+0000.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\x00]*$", examples=["Oak Desk"])]


class ProductInput(msgspec.Struct):
    """A product as a client writes it. Other members are ignored."""

    name: Name
    price: Price


class ProductOutput(msgspec.Struct):
    """A product as a client reads it. The price always has two decimals: 19.90."""

    id: int
    name: str
    price: Decimal
