"""Stock and sales."""

from http import HTTPStatus

from cache_aside import Served
from storefront.http.operations import Call, Reply, Services
from storefront.http.problems import NO_SUCH_PRODUCT, problem
from storefront.http.replies import PRIVATE
from storefront.http.schemas.sales import PurchaseOutput, Stock

_BYPASS = {"X-Cache": Served.BYPASS.value}


def get_inventory(services: Services, call: Call) -> Reply:
    available = services.inventory.available(call.product_id)
    if available is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_PRODUCT), _BYPASS)
    return Reply(HTTPStatus.OK, Stock(available), _BYPASS | PRIVATE)


def replace_inventory(services: Services, call: Call) -> Reply:
    services.inventory.set(call.product_id, call.body.available)
    return Reply(HTTPStatus.OK, Stock(call.body.available), PRIVATE)


def create_purchase(services: Services, call: Call) -> Reply:
    made = services.purchases.buy(
        call.product_id, call.body.quantity, user_id=call.session.user_id, idempotency_key=call.idempotency_key
    )
    total = made.quantity * made.unit_price
    body = PurchaseOutput(made.id, made.product_id, made.quantity, made.unit_price, total)
    return Reply(HTTPStatus.CREATED, body, PRIVATE)


def get_leaderboard(services: Services, call: Call) -> Reply:
    result = services.leaderboard.top(call.query.limit)
    return Reply(HTTPStatus.OK, result.value, {"X-Cache": result.served.value})
