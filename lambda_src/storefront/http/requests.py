"""Reading a request as its operation's row says."""

import re
from collections.abc import Callable
from typing import Any

import falcon
import msgspec

from storefront.entities import Role, Session
from storefront.http.bodies import read_body
from storefront.http.etags import if_match
from storefront.http.operations import IDEMPOTENCY_KEY, Call, Operation, Services
from storefront.http.paths import PATH_PARAMETERS
from storefront.services.errors import NotAllowedError, NotLoggedInError


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
        body=read_body(request, decode) if decode else None,
        token=token,
        current=session,
        if_match=if_match(request) if row.if_match else None,
        idempotency_key=_idempotency_key(request) if row.idempotency_key else None,
    )


def _session(request: falcon.Request, services: Services, allowed: tuple[Role, ...]) -> tuple[str, Session]:
    scheme, _, token = (request.auth or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotLoggedInError
    session = services.sessions.current(token)
    if session.role not in allowed:
        raise NotAllowedError(allowed)
    return token, session


def _idempotency_key(request: falcon.Request) -> str | None:
    key: str | None = request.get_header("Idempotency-Key")
    if key is not None and not re.fullmatch(IDEMPOTENCY_KEY, key):
        raise falcon.HTTPUnprocessableEntity(
            description="Idempotency-Key has to have 1 to 200 visible ASCII characters."
        )
    return key


def _query(request: falcon.Request, query: type[msgspec.Struct]) -> Any:
    given = {name: values[-1] if isinstance(values, list) else values for name, values in request.params.items()}
    try:
        return msgspec.convert(given, query, strict=False)
    except msgspec.ValidationError as error:
        raise falcon.HTTPUnprocessableEntity(description=f"The query: {error}") from None
