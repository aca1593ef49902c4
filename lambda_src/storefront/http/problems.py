"""Every error as problem+json (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import falcon
import msgspec
from msgspec import UNSET, UnsetType

from cache_aside import LoadUnavailableError, TooManyLoadsError
from storefront.database import DatabaseUnavailableError
from storefront.errors import (
    FlagNotFoundError,
    NotAllowedError,
    NotLoggedInError,
    OutOfStockError,
    OwnRoleError,
    PasswordsBusyError,
    ProductNotFoundError,
    RefusedError,
    UsernameTakenError,
    UserNotFoundError,
    VersionMismatchError,
    WrongCredentialsError,
    WrongPasswordError,
)
from storefront.http.codec import encode
from storefront.security_log import Kind, SecurityEvent, record

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
NO_SUCH_PRODUCT = "There is no such product."
NO_SUCH_FLAG = "There is no such flag."
NO_SUCH_USER = "There is no such user."
_CHALLENGE = {"WWW-Authenticate": "Bearer"}

logger = logging.getLogger(__name__)


class Problem(msgspec.Struct):
    """An error (RFC 9457). `cache` and `database` are there when the app is not ready."""

    title: str
    status: int
    type: Literal["about:blank"] = "about:blank"
    detail: str | UnsetType = UNSET
    cache: str | UnsetType = UNSET
    database: str | UnsetType = UNSET


_ALWAYS_THE_SAME: Mapping[type[Exception], tuple[HTTPStatus, str]] = {
    ProductNotFoundError: (HTTPStatus.NOT_FOUND, NO_SUCH_PRODUCT),
    FlagNotFoundError: (HTTPStatus.NOT_FOUND, NO_SUCH_FLAG),
    UserNotFoundError: (HTTPStatus.NOT_FOUND, NO_SUCH_USER),
    OutOfStockError: (HTTPStatus.CONFLICT, "Not enough in stock."),
    UsernameTakenError: (HTTPStatus.CONFLICT, "This username is taken."),
    OwnRoleError: (HTTPStatus.CONFLICT, "You cannot change your own role: ask another operator."),
    VersionMismatchError: (HTTPStatus.PRECONDITION_FAILED, "The product has another version than If-Match names."),
    WrongCredentialsError: (HTTPStatus.UNAUTHORIZED, "No user has this name and password."),
    WrongPasswordError: (HTTPStatus.FORBIDDEN, "The current password is wrong."),
    NotLoggedInError: (HTTPStatus.UNAUTHORIZED, "A bearer token of a current session is needed."),
}


def answer(error: Exception) -> falcon.HTTPError:
    """The answer to an error that a service raised; 500 without a word of explanation for one that nobody expected."""
    if type(error) in _ALWAYS_THE_SAME:
        status, description = _ALWAYS_THE_SAME[type(error)]
        headers = _CHALLENGE if status is HTTPStatus.UNAUTHORIZED else None
        return falcon.HTTPError(status, description=description, headers=headers)
    match error:
        case NotAllowedError():
            return falcon.HTTPForbidden(description=f"Only for: {', '.join(error.roles)}.")
        case PasswordsBusyError():
            return falcon.HTTPServiceUnavailable(
                description="Too many passwords are being checked at once.", retry_after=error.retry_after_seconds
            )
        case TooManyLoadsError():
            logger.warning("overloaded: %s", error)
            return falcon.HTTPServiceUnavailable(
                description="Too many requests need the database at once.", retry_after=error.retry_after_seconds
            )
        case DatabaseUnavailableError() | LoadUnavailableError():
            logger.warning("the database is unavailable: %s", error)
            return falcon.HTTPServiceUnavailable(
                description="The database is unavailable.", retry_after=RETRY_AFTER_SECONDS
            )
        case _:
            logger.error("unexpected error", exc_info=error)
            return falcon.HTTPInternalServerError()


def install(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Makes the app answer every error this way: the services', falcon's own such as 405, unexpected ones."""

    def handle(request: falcon.Request, _response: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
        if isinstance(error, RefusedError):
            _record_refusal(request, error)
        raise answer(error)

    app.add_error_handler(Exception, handle)
    app.set_error_serializer(_serialize)


def _record_refusal(request: falcon.Request, error: RefusedError) -> None:
    if isinstance(error, NotLoggedInError) and request.auth is None:
        return  # whoever shows no token learns that one is needed
    of_password = isinstance(error, WrongCredentialsError | WrongPasswordError)
    kind = Kind.PASSWORD_REFUSED if of_password else Kind.REFUSED
    operation = f"{request.method} {request.uri_template}"
    record(SecurityEvent(event=kind, user=error.username, operation=operation))


def problem(status: HTTPStatus, detail: str | None = None) -> Problem:
    """The body that goes with a status."""
    return Problem(title=status.phrase, status=status, detail=detail or UNSET)


def _serialize(_request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    response.content_type = MEDIA_TYPE
    response.data = encode(problem(HTTPStatus(error.status_code), error.description))
