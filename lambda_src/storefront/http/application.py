"""The WSGI application of a table of operations."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from http import HTTPStatus
from types import SimpleNamespace
from wsgiref.types import WSGIApplication

import falcon

from storefront.http.codec import decoder, encode
from storefront.http.headers import content_tag, has_already, with_usual_headers
from storefront.http.operations import Operation, Reply, Services
from storefront.http.problems import MEDIA_TYPE, Problem, install
from storefront.http.requests import read_call

FalconApp = falcon.App[falcon.Request, falcon.Response]


def build(operations: Sequence[Operation], services: Services) -> WSGIApplication:
    """Routes every row; GET answers HEAD too. All errors are problem+json."""
    app: FalconApp = falcon.App(media_type=falcon.MEDIA_JSON, middleware=[_OneSpelling()])
    resources: defaultdict[str, dict[str, Callable[..., None]]] = defaultdict(dict)
    for row in operations:
        resources[row.path][f"on_{row.method.lower()}"] = _responder(row, services)
    for path, responders in resources.items():
        if "on_get" in responders:
            responders["on_head"] = responders["on_get"]
        app.add_route(path, SimpleNamespace(**responders))
    install(app)
    return with_usual_headers(app)


class _OneSpelling:
    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        # falcon would drop the slash, and rules of a firewall would not know the path.
        if request.path.startswith("//"):
            raise falcon.HTTPNotFound


def _responder(row: Operation, services: Services) -> Callable[..., None]:
    decode = decoder(row.body) if row.body else None

    def respond(request: falcon.Request, response: falcon.Response, **path: str) -> None:
        reply = row.handler(services, read_call(row, services, request, decode, path))
        _send(response, reply)
        if row.conditional and reply.status is HTTPStatus.OK:
            _send_only_news(request, response)

    return respond


def _send(response: falcon.Response, reply: Reply) -> None:
    response.status = reply.status
    response.set_headers(dict(reply.headers))
    if reply.body is not None:
        response.data = encode(reply.body)
    if isinstance(reply.body, Problem):
        response.content_type = MEDIA_TYPE


def _send_only_news(request: falcon.Request, response: falcon.Response) -> None:
    tag = response.get_header("ETag") or content_tag(response.data or b"")
    response.set_header("ETag", tag)
    if has_already(request, tag):
        response.status, response.data = falcon.HTTP_304, None
