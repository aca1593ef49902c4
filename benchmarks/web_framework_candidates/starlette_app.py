"""GET /products/{id} answered by starlette; under Lambda through mangum.

The endpoint could await an asynchronous cache client, but must not call a synchronous one.
"""

# The losers are not installed where types are checked.
# mypy: ignore-errors

from mangum import Mangum
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

BODY = b'{"id":42,"name":"Product 42","price":19.90}'


async def product(request: Request) -> Response:
    headers = {"ETag": f'"{int(request.path_params["product_id"])}"', "X-Cache": "HIT"}
    return Response(BODY, media_type="application/json", headers=headers)


app = Starlette(routes=[Route("/products/{product_id}", product)])
handler = Mangum(app, lifespan="off")
