"""Products."""

from decimal import Decimal
from http import HTTPStatus

from storefront.entities import Product
from storefront.http.etags import version_tag
from storefront.http.operations import Call, Reply, Services
from storefront.http.problems import NO_SUCH_PRODUCT, problem
from storefront.http.replies import pending
from storefront.http.schemas.products import ProductOutput


def get_product(services: Services, call: Call) -> Reply:
    result = services.products.get(call.product_id)
    product, headers = result.value, {"X-Cache": result.served.value}
    if product is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_PRODUCT), headers)
    return Reply(HTTPStatus.OK, _output(product), headers | {"ETag": version_tag(product.version)})


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
