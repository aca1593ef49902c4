"""Stock, purchases and the leaderboard."""

from decimal import Decimal
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from cache_aside import Served
from storefront.entities import Bestseller
from storefront.http.operations import CREATED, LOGGED_IN, OK, OPERATORS, PRIVATE, Call, Operation, Reply, Services
from storefront.http.problems import NO_SUCH_PRODUCT, problem


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


_BYPASS = {"X-Cache": Served.BYPASS.value}


def get_inventory(services: Services, call: Call) -> Reply:
    available = services.sales.stock(call.product_id)
    if available is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_PRODUCT), _BYPASS)
    return Reply(OK, Stock(available), _BYPASS | PRIVATE)


def replace_inventory(services: Services, call: Call) -> Reply:
    services.sales.set_stock(call.product_id, call.body.available, by=call.session)
    return Reply(OK, Stock(call.body.available), PRIVATE)


def create_purchase(services: Services, call: Call) -> Reply:
    made = services.sales.buy(call.product_id, call.body.quantity, by=call.session)
    total = made.quantity * made.unit_price
    body = PurchaseOutput(made.id, made.product_id, made.quantity, made.unit_price, total)
    return Reply(CREATED, body, PRIVATE)


def get_leaderboard(services: Services, call: Call) -> Reply:
    result = services.leaderboard.top(call.query.limit)
    return Reply(OK, result.value, {"X-Cache": result.served.value})


OPERATIONS = (
    Operation(
        method="GET",
        path="/products/{product_id}/inventory",
        summary="How many there are, from the database",
        handler=get_inventory,
        replies={OK: Stock},
        headers=("Cache-Control", "X-Cache"),
    ),
    Operation(
        method="PUT",
        path="/products/{product_id}/inventory",
        summary="Set how many there are",
        handler=replace_inventory,
        allowed=OPERATORS,
        body=Stock,
        replies={OK: Stock},
        headers=("Cache-Control",),
    ),
    Operation(
        method="POST",
        path="/products/{product_id}/purchases",
        summary="Buy, if there are enough",
        handler=create_purchase,
        allowed=LOGGED_IN,
        body=PurchaseInput,
        replies={CREATED: PurchaseOutput},
        headers=("Cache-Control",),
        problems=(HTTPStatus.CONFLICT,),
    ),
    Operation(
        method="GET",
        path="/leaderboard",
        summary="The products of which most units were sold, at most a minute old",
        handler=get_leaderboard,
        query=LeaderboardQuery,
        replies={OK: list[Bestseller]},
        headers=("ETag", "X-Cache"),
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
)
