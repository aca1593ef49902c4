"""The WSGI application of a table of operations."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon

from storefront.http.codec import decoder, encode
from storefront.http.etags import content_tag, has_already
from storefront.http.operations import Operation, Reply, Services
from storefront.http.problems import MEDIA_TYPE, install
from storefront.http.requests import read_call
from storefront.http.schemas.service import Problem

FalconApp = falcon.App[falcon.Request, falcon.Response]
_IRREGULAR = {"etag": "ETag", "www-authenticate": "WWW-Authenticate"}


def build(operations: Sequence[Operation], services: Services) -> WSGIApplication:
    """Routes every row; GET answers HEAD too. All errors are problem+json."""
    app: FalconApp = falcon.App(media_type=falcon.MEDIA_JSON)
    resources: defaultdict[str, dict[str, Callable[..., None]]] = defaultdict(dict)
    for row in operations:
        resources[row.path][f"on_{row.method.lower()}"] = _responder(row, services)
    for path, responders in resources.items():
        if "on_get" in responders:
            responders["on_head"] = responders["on_get"]
        app.add_route(path, SimpleNamespace(**responders))
    install(app)
    return _with_usual_header_names(app)


def _with_usual_header_names(app: FalconApp) -> WSGIApplication:
    """falcon sends names in lower case, as HTTP allows; people and scripts look for X-Cache as it is documented."""

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(
                status, [(_IRREGULAR.get(name, name.title()), value) for name, value in headers], *rest
            )

        return app(environ, start)

    return call


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
