"""One function an operation: calls a service and words its answer."""

from decimal import Decimal
from http import HTTPStatus

from cache_aside import Invalidation
from storefront.entities import Product
from storefront.http.etags import etag
from storefront.http.operations import Call, Reply, Services
from storefront.http.problems import NO_SUCH_PRODUCT, RETRY_AFTER_SECONDS, problem
from storefront.http.schemas import (
    CurrentSession,
    Liveness,
    LogoutPending,
    ProductOutput,
    Readiness,
    SessionCreated,
)

_AVAILABLE, _UNAVAILABLE = "available", "unavailable"
# What a run of the relay takes at most: docs/consistency.md.
_RELAY_RUN_SECONDS = 2
_PRIVATE = {"Cache-Control": "no-store"}


def log_in(services: Services, call: Call) -> Reply:
    token, session = services.sessions.log_in(call.body.username, call.body.password)
    return Reply(HTTPStatus.CREATED, SessionCreated(token, session.expires_at), _PRIVATE)


def current_session(services: Services, call: Call) -> Reply:
    session = services.sessions.current(call.token)
    return Reply(HTTPStatus.OK, CurrentSession(session.username, session.expires_at), _PRIVATE)


def log_out(services: Services, call: Call) -> Reply:
    invalidation = services.sessions.log_out(call.token)
    if invalidation.confirmed:
        return Reply(HTTPStatus.NO_CONTENT)
    pending = LogoutPending(holds_within_seconds=services.relay_period_seconds + _RELAY_RUN_SECONDS)
    return Reply(HTTPStatus.ACCEPTED, pending, _PRIVATE | _pending(invalidation))


def get_product(services: Services, call: Call) -> Reply:
    result = services.products.get(call.product_id)
    product, headers = result.value, {"X-Cache": result.served.value}
    if product is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_PRODUCT), headers)
    headers["ETag"] = etag(product.version)
    if call.if_none_match is None or product.version in call.if_none_match:
        return Reply(HTTPStatus.NOT_MODIFIED, None, headers)
    return Reply(HTTPStatus.OK, _output(product), headers)


def create_product(services: Services, call: Call) -> Reply:
    product, invalidation = services.products.create(call.body.name, Decimal(call.body.price))
    headers = {"Location": f"/products/{product.id}", "ETag": etag(product.version), **_pending(invalidation)}
    return Reply(HTTPStatus.CREATED, _output(product), headers)


def replace_product(services: Services, call: Call) -> Reply:
    name, price = call.body.name, Decimal(call.body.price)
    product, invalidation = services.products.replace(call.product_id, name, price, call.if_match)
    return Reply(HTTPStatus.OK, _output(product), {"ETag": etag(product.version), **_pending(invalidation)})


def delete_product(services: Services, call: Call) -> Reply:
    invalidation = services.products.delete(call.product_id, call.if_match)
    return Reply(HTTPStatus.NO_CONTENT, None, _pending(invalidation))


def live(_services: Services, _call: Call) -> Reply:
    return Reply(HTTPStatus.OK, Liveness(_AVAILABLE))


def ready(services: Services, _call: Call) -> Reply:
    cache = _AVAILABLE if services.cache_available() else _UNAVAILABLE
    if services.database_available():
        return Reply(HTTPStatus.OK, Readiness(cache, _AVAILABLE))
    unready = problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable.")
    unready.cache, unready.database = cache, _UNAVAILABLE
    return Reply(HTTPStatus.SERVICE_UNAVAILABLE, unready, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def _output(product: Product) -> ProductOutput:
    return ProductOutput(product.id, product.name, product.price)


def _pending(invalidation: Invalidation) -> dict[str, str]:
    return {"X-Invalidation": "pending"} if invalidation.pending else {}
