"""The table of operations. Everything the app does over HTTP is a row of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from storefront.services.products import ProductService
from storefront.services.sessions import SessionService

MAX_ID = 2**63 - 1
"""PostgreSQL's bigint."""

_BODY_PROBLEMS = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, kw_only=True)
class Services:
    """What handlers work with. The two probes tell whether cache and database answer now.

    `relay_period_seconds` is how often deletions that did not reach the cache are repeated.
    """

    products: ProductService
    sessions: SessionService
    cache_available: Callable[[], bool]
    database_available: Callable[[], bool]
    relay_period_seconds: int


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, checked as far as its operation's row says.

    `body` is of the row's type, `token` that of a current session when the row asks for one. `if_match` are the
    versions that the client accepts, None any; `if_none_match` those that it has, None any.
    """

    product_id: int = 0
    body: Any = None
    token: str = ""
    if_match: list[int] | None = None
    if_none_match: list[int] | None = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    """An answer; the body is encoded as JSON."""

    status: HTTPStatus
    body: msgspec.Struct | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row: what is asked, who answers, and what the answers look like.

    `replies` are the bodies of the answers that are no errors, None for an empty one, and `headers` what those
    answers may carry. `problems` are errors; those that follow from other columns (a body, a bearer token, an id in
    the path) need not be named.
    """

    method: str
    path: str
    summary: str
    handler: Callable[[Services, Call], Reply]
    replies: Mapping[HTTPStatus, type[msgspec.Struct] | None]
    headers: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    authenticated: bool = False
    precondition: str | None = None
    problems: tuple[HTTPStatus, ...] = ()

    @property
    def has_id(self) -> bool:
        """Whether the path names a product."""
        return "{product_id}" in self.path

    def all_problems(self) -> list[HTTPStatus]:
        """Every error that this operation may answer with, apart from 500, and 503 where no database is asked."""
        implied = set(self.problems)
        if self.authenticated:
            implied |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE}
        if self.has_id:
            implied |= {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE}
        if self.body:
            implied |= _BODY_PROBLEMS
        return sorted(implied)
