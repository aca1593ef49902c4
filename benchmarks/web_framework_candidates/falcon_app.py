"""GET /products/{id} answered by falcon; under Lambda through apig-wsgi."""

import falcon
from apig_wsgi import make_lambda_handler

BODY = b'{"id":42,"name":"Product 42","price":19.90}'


class Product:
    def on_get(self, _request: falcon.Request, response: falcon.Response, product_id: str) -> None:
        response.data = BODY
        response.content_type = "application/json"
        response.set_header("ETag", f'"{int(product_id)}"')
        response.set_header("X-Cache", "HIT")


app = falcon.App()
app.add_route("/products/{product_id}", Product())
handler = make_lambda_handler(app)
