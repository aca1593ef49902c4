"""Products."""

import re
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from storefront.http.codec import Price
from storefront.http.cursors import PATTERN

# PostgreSQL's text cannot hold U+0000.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\x00]*$", examples=["Oak Desk"])]


Cursor = Annotated[str, Meta(extra_json_schema={"pattern": PATTERN})]


class ProductInput(msgspec.Struct):
    """A product as a client writes it. Other members are ignored."""

    name: Name
    price: Price


class ProductOutput(msgspec.Struct):
    """A product as a client reads it. The price always has two decimals: 19.90."""

    id: int
    name: str
    price: Decimal


class PageQuery(msgspec.Struct):
    """Which page: `limit` products at most, after those of the page whose `next_cursor` this is; none: the first."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Cursor | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.cursor is not UNSET and not re.fullmatch(PATTERN, self.cursor):
            raise ValueError("`cursor` has to be the `next_cursor` of a page")


class ProductPage(msgspec.Struct):
    """Products in the order of their ids. `next_cursor` leads to the next page, null: this is the last one."""

    products: list[ProductOutput]
    next_cursor: str | None
