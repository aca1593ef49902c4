"""The WSGI application of a table of operations."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon

from storefront.http.bodies import read_body
from storefront.http.etags import if_match, if_none_match
from storefront.http.operations import MAX_ID, Call, Operation, Reply, Services
from storefront.http.problems import MEDIA_TYPE, NO_SUCH_PRODUCT, install
from storefront.http.schemas import Problem, decoder, encode
from storefront.services.errors import NotLoggedInError

FalconApp = falcon.App[falcon.Request, falcon.Response]
_ID = re.compile(r"[1-9][0-9]{0,18}")
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
    body_decoder = decoder(row.body) if row.body else None

    def respond(request: falcon.Request, response: falcon.Response, product_id: str = "") -> None:
        token = _token(request, services) if row.authenticated else ""
        call = Call(
            product_id=_parse_id(product_id) if row.has_id else 0,
            body=read_body(request, body_decoder) if body_decoder else None,
            token=token,
            if_match=if_match(request),
            if_none_match=if_none_match(request),
        )
        _send(response, row.handler(services, call))

    return respond


def _token(request: falcon.Request, services: Services) -> str:
    scheme, _, token = (request.auth or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotLoggedInError
    services.sessions.current(token)
    return token


def _parse_id(text: str) -> int:
    if not _ID.fullmatch(text) or int(text) > MAX_ID:
        raise falcon.HTTPNotFound(description=NO_SUCH_PRODUCT)
    return int(text)


def _send(response: falcon.Response, reply: Reply) -> None:
    response.status = reply.status
    response.set_headers(dict(reply.headers))
    if reply.body is not None:
        response.data = encode(reply.body)
    if isinstance(reply.body, Problem):
        response.content_type = MEDIA_TYPE
