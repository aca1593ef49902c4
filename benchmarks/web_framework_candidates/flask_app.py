"""GET /products/{id} answered by flask; under Lambda through apig-wsgi."""

# The losers are not installed where types are checked.
# mypy: ignore-errors

import flask
from apig_wsgi import make_lambda_handler

BODY = b'{"id":42,"name":"Product 42","price":19.90}'
app = flask.Flask(__name__)


@app.get("/products/<product_id>")
def product(product_id: str) -> flask.Response:
    headers = {"ETag": f'"{int(product_id)}"', "X-Cache": "HIT"}
    return flask.Response(BODY, content_type="application/json", headers=headers)


handler = make_lambda_handler(app)
