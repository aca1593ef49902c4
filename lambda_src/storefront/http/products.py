"""Products."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from cache_aside import Served
from storefront.entities import Product
from storefront.http.codec import Price
from storefront.http.headers import version_tag
from storefront.http.operations import CREATED, NO_CONTENT, OK, OPERATORS, Call, Operation, Reply, Services, pending
from storefront.http.problems import NO_SUCH_PRODUCT, problem

# PostgreSQL's text cannot hold U+0000.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\x00]*$", examples=["Oak Desk"])]


# Exactly the cursors that there are: eight bytes in base64, without the padding, of a number that is not negative. So
# nobody takes one for more than it is: the last id of the page before.
_CURSOR = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"
Cursor = Annotated[str, Meta(extra_json_schema={"pattern": _CURSOR})]


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
        if self.cursor is not UNSET and not re.fullmatch(_CURSOR, self.cursor):
            raise ValueError("`cursor` has to be the `next_cursor` of a page")


class ProductPage(msgspec.Struct):
    """Products in the order of their ids. `next_cursor` leads to the next page, null: this is the last one."""

    products: list[ProductOutput]
    next_cursor: str | None


# What a page says of itself: the worst that is true of one of its products.
_BEST_TO_WORST = (Served.HIT, Served.JOINED, Served.MISS, Served.BYPASS, Served.STALE)


def get_product(services: Services, call: Call) -> Reply:
    result = services.products.get(call.product_id)
    product, headers = result.value, {"X-Cache": result.served.value}
    if product is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_PRODUCT), headers)
    return Reply(OK, _output(product), headers | {"ETag": version_tag(product.version)})


def list_products(services: Services, call: Call) -> Reply:
    after = decode_cursor(call.query.cursor) if call.query.cursor else 0
    page = services.products.page(after, call.query.limit)
    products = [_output(result.value) for result in page.results if result.value]
    # The database alone knows that there are none.
    served = max((result.served for result in page.results), key=_BEST_TO_WORST.index, default=Served.BYPASS)
    cursor = encode_cursor(page.last_id) if page.last_id else None
    return Reply(OK, ProductPage(products, cursor), {"X-Cache": served.value})


def create_product(services: Services, call: Call) -> Reply:
    product, invalidation = services.products.create(call.body.name, Decimal(call.body.price), by=call.session)
    headers = {"Location": f"/products/{product.id}", "ETag": version_tag(product.version), **pending(invalidation)}
    return Reply(CREATED, _output(product), headers)


def replace_product(services: Services, call: Call) -> Reply:
    name, price = call.body.name, Decimal(call.body.price)
    product, invalidation = services.products.replace(call.product_id, name, price, call.if_match, by=call.session)
    return Reply(OK, _output(product), {"ETag": version_tag(product.version), **pending(invalidation)})


def delete_product(services: Services, call: Call) -> Reply:
    invalidation = services.products.delete(call.product_id, call.if_match, by=call.session)
    return Reply(NO_CONTENT, None, pending(invalidation))


def encode_cursor(product_id: int) -> str:
    """The cursor of what follows this id."""
    return urlsafe_b64encode(product_id.to_bytes(8, "big")).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """The id, of a text that matches the pattern."""
    return int.from_bytes(urlsafe_b64decode(cursor + "="), "big")


def _output(product: Product) -> ProductOutput:
    return ProductOutput(product.id, product.name, product.price)


OPERATIONS = (
    Operation(
        method="GET",
        path="/products",
        summary="A page of products, in the order of their ids",
        handler=list_products,
        query=PageQuery,
        replies={OK: ProductPage},
        headers=("ETag", "X-Cache"),
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Operation(
        method="POST",
        path="/products",
        summary="Create a product",
        handler=create_product,
        allowed=OPERATORS,
        body=ProductInput,
        replies={CREATED: ProductOutput},
        headers=("Location", "ETag", "X-Invalidation"),
    ),
    Operation(
        method="GET",
        path="/products/{product_id}",
        summary="Get a product, through the cache",
        handler=get_product,
        replies={OK: ProductOutput},
        headers=("ETag", "X-Cache"),
    ),
    Operation(
        method="PUT",
        path="/products/{product_id}",
        summary="Replace a product",
        handler=replace_product,
        allowed=OPERATORS,
        if_match=True,
        body=ProductInput,
        replies={OK: ProductOutput},
        headers=("ETag", "X-Invalidation"),
    ),
    Operation(
        method="DELETE",
        path="/products/{product_id}",
        summary="Delete a product",
        handler=delete_product,
        allowed=OPERATORS,
        if_match=True,
        replies={NO_CONTENT: None},
        headers=("X-Invalidation",),
    ),
)
