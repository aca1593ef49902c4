"""Reading a request as its operation's row says."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import falcon
import msgspec

from storefront.entities import Role, Session
from storefront.errors import NotAllowedError, NotLoggedInError
from storefront.http.headers import if_match
from storefront.http.operations import MAX_ID, Call, Operation, Services
from storefront.http.problems import NO_SUCH_FLAG, NO_SUCH_PRODUCT, NO_SUCH_USER

MAX_BYTES = 16 * 1024
"""Of a body."""


@dataclass(frozen=True, kw_only=True)
class PathParameter:
    """What stands in braces in an operation's path: the text it may be, its schema, and what is said of other text.

    Text that can name nothing is answered 404, without a query.
    """

    pattern: str
    convert: Callable[[str], int | str]
    schema: Mapping[str, Any]
    unknown: str

    def read(self, text: str) -> int | str:
        """The value; falcon.HTTPNotFound."""
        value = self.convert(text) if re.fullmatch(self.pattern, text) else None
        if value is None or (isinstance(value, int) and value > MAX_ID):
            raise falcon.HTTPNotFound(description=self.unknown)
        return value


_FLAG_NAME = "[a-z0-9][a-z0-9._-]{0,63}"
_USERNAME = "[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}"

PATH_PARAMETERS = {
    "product_id": PathParameter(
        pattern="[1-9][0-9]{0,18}",
        convert=int,
        schema={"type": "integer", "minimum": 1, "maximum": MAX_ID, "examples": [42]},
        unknown=NO_SUCH_PRODUCT,
    ),
    "name": PathParameter(
        pattern=_FLAG_NAME,
        convert=str,
        schema={"type": "string", "pattern": f"^{_FLAG_NAME}$", "examples": ["express-checkout"]},
        unknown=NO_SUCH_FLAG,
    ),
    "username": PathParameter(
        pattern=_USERNAME,
        convert=str,
        schema={"type": "string", "pattern": f"^{_USERNAME}$", "examples": ["ada@example.com"]},
        unknown=NO_SUCH_USER,
    ),
}


def read_call(
    row: Operation, services: Services, request: falcon.Request, decode: Callable[[bytes], Any] | None, path: Any
) -> Call:
    """The call that a request makes; NotLoggedInError, NotAllowedError or the falcon.HTTPError that says what is wrong.

    Who asks is settled before anything they sent is read.
    """
    token, session = _session(request, services, row.allowed) if row.allowed else ("", None)
    named: dict[str, Any] = {name: PATH_PARAMETERS[name].read(text) for name, text in path.items()}
    return Call(
        **named,
        query=_query(request, row.query) if row.query else None,
        body=_body(request, decode) if decode else None,
        token=token,
        current=session,
        if_match=if_match(request) if row.if_match else None,
    )


def _session(request: falcon.Request, services: Services, allowed: tuple[Role, ...]) -> tuple[str, Session]:
    scheme, _, token = (request.auth or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotLoggedInError
    session = services.sessions.current(token)
    if session.role not in allowed:
        raise NotAllowedError(allowed, session.username)
    return token, session


def _query(request: falcon.Request, query: type[msgspec.Struct]) -> Any:
    given = {name: values[-1] if isinstance(values, list) else values for name, values in request.params.items()}
    try:
        return msgspec.convert(given, query, strict=False)
    except msgspec.ValidationError as error:
        raise falcon.HTTPUnprocessableEntity(description=f"The query: {error}") from None


def _body(request: falcon.Request, decode: Callable[[bytes], Any]) -> Any:
    """The decoded body; the falcon.HTTPError that says what is wrong with it: 400, 413, 415 or 422."""
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_JSON:
        raise falcon.HTTPUnsupportedMediaType(description="The body has to be application/json.")
    try:
        return decode(_read(request))
    except msgspec.ValidationError as error:
        raise falcon.HTTPUnprocessableEntity(description=str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise falcon.HTTPBadRequest(description=f"The body is not JSON: {error}") from None
    except RecursionError:
        raise falcon.HTTPBadRequest(description="The body is nested too deeply.") from None


def _read(request: falcon.Request) -> bytes:
    # A chunked body has no length; the server then promises that its stream ends where the body does.
    ends = request.env.get("wsgi.input_terminated", False)
    stream = request.stream if ends else request.bounded_stream
    try:
        body: bytes = stream.read(MAX_BYTES + 1)
    except Exception as error:
        # Each server raises its own: for chunks that are none, and for a connection that ended or went silent.
        raise falcon.HTTPBadRequest(description="The body is incomplete, or its chunks are malformed.") from error
    if len(body) > MAX_BYTES:
        raise falcon.HTTPContentTooLarge(description=f"The body may have {MAX_BYTES} bytes.")
    if len(body) < (request.content_length or 0):
        raise falcon.HTTPBadRequest(description="The body is shorter than its Content-Length.")
    return body
