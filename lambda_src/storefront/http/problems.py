"""Every error as problem+json (RFC 9457)."""

import logging
from http import HTTPStatus
from typing import Any

import falcon
from msgspec import UNSET

from cache_aside import LoadUnavailableError, OverloadedError
from storefront.database import DatabaseUnavailableError
from storefront.http.codec import encode
from storefront.http.schemas.service import Problem
from storefront.services.errors import (
    IdempotencyKeyReusedError,
    NotAllowedError,
    NotLoggedInError,
    OutOfStockError,
    ProductNotFoundError,
    VersionMismatchError,
    WrongCredentialsError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
NO_SUCH_PRODUCT = "There is no such product."
_CHALLENGE = {"WWW-Authenticate": "Bearer"}

logger = logging.getLogger(__name__)


def answer(error: Exception) -> falcon.HTTPError:
    """The answer to an error that a service raised; 500 without a word of explanation for one that nobody expected."""
    match error:
        case ProductNotFoundError():
            return falcon.HTTPNotFound(description=NO_SUCH_PRODUCT)
        case VersionMismatchError():
            return falcon.HTTPPreconditionFailed(description="The product has another version than If-Match names.")
        case OutOfStockError():
            return falcon.HTTPConflict(description="There are not so many in stock.")
        case IdempotencyKeyReusedError():
            return falcon.HTTPUnprocessableEntity(description="This Idempotency-Key was that of another request.")
        case WrongCredentialsError():
            return falcon.HTTPUnauthorized(description="No user has this name and password.", headers=_CHALLENGE)
        case NotLoggedInError():
            return falcon.HTTPUnauthorized(
                description="A bearer token of a current session is needed.", headers=_CHALLENGE
            )
        case NotAllowedError():
            return falcon.HTTPForbidden(description=f"Only for: {', '.join(error.roles)}.")
        case OverloadedError():
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

    def handle(_request: falcon.Request, _response: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
        raise answer(error)

    app.add_error_handler(Exception, handle)
    app.set_error_serializer(_serialize)


def problem(status: HTTPStatus, detail: str | None = None) -> Problem:
    """The body that goes with a status."""
    return Problem(title=status.phrase, status=status, detail=detail or UNSET)


def _serialize(_request: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    response.content_type = MEDIA_TYPE
    response.data = encode(problem(HTTPStatus(error.status_code), error.description))
