"""Products."""

from decimal import Decimal
from http import HTTPStatus

from cache_aside import Served
from storefront.entities import Product
from storefront.http.cursors import decode_cursor, encode_cursor
from storefront.http.etags import version_tag
from storefront.http.operations import Call, Reply, Services
from storefront.http.problems import NO_SUCH_PRODUCT, problem
from storefront.http.replies import pending
from storefront.http.schemas.products import ProductOutput, ProductPage

# What a page says of itself: the worst that is true of one of its products.
_BEST_TO_WORST = (Served.HIT, Served.MISS, Served.BYPASS, Served.STALE)


def get_product(services: Services, call: Call) -> Reply:
    result = services.products.get(call.product_id)
    product, headers = result.value, {"X-Cache": result.served.value}
    if product is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_PRODUCT), headers)
    return Reply(HTTPStatus.OK, _output(product), headers | {"ETag": version_tag(product.version)})


def list_products(services: Services, call: Call) -> Reply:
    after = decode_cursor(call.query.cursor) if call.query.cursor else 0
    page = services.products.page(after, call.query.limit)
    products = [_output(result.value) for result in page.results if result.value]
    # The database alone knows that there are none.
    served = max((result.served for result in page.results), key=_BEST_TO_WORST.index, default=Served.BYPASS)
    cursor = encode_cursor(page.last_id) if page.last_id else None
    return Reply(HTTPStatus.OK, ProductPage(products, cursor), {"X-Cache": served.value})


def create_product(services: Services, call: Call) -> Reply:
    product, invalidation = services.products.create(call.body.name, Decimal(call.body.price))
    headers = {"Location": f"/products/{product.id}", "ETag": version_tag(product.version), **pending(invalidation)}
    return Reply(HTTPStatus.CREATED, _output(product), headers)


def replace_product(services: Services, call: Call) -> Reply:
    name, price = call.body.name, Decimal(call.body.price)
    product, invalidation = services.products.replace(call.product_id, name, price, call.if_match)
    return Reply(HTTPStatus.OK, _output(product), {"ETag": version_tag(product.version), **pending(invalidation)})


def delete_product(services: Services, call: Call) -> Reply:
    invalidation = services.products.delete(call.product_id, call.if_match)
    return Reply(HTTPStatus.NO_CONTENT, None, pending(invalidation))


def _output(product: Product) -> ProductOutput:
    return ProductOutput(product.id, product.name, product.price)
