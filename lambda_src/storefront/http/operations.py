"""The table of operations. Everything the app does over HTTP is a row of it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from cache_aside import Invalidation
from storefront.entities import Role, Session
from storefront.services.flags import FlagService
from storefront.services.leaderboard import LeaderboardService
from storefront.services.products import ProductService
from storefront.services.sales import SalesService
from storefront.services.sessions import SessionService
from storefront.services.users import UserService

MAX_ID = 2**63 - 1
"""The largest bigint of both databases."""

OK, CREATED, NO_CONTENT = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT
PRIVATE = {"Cache-Control": "no-store"}
"""For whom it was made, and nobody in between."""

ANYONE: tuple[Role, ...] = ()
LOGGED_IN = tuple(Role)
OPERATORS = (Role.OPERATOR,)

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
    users: UserService
    flags: FlagService
    sales: SalesService
    leaderboard: LeaderboardService
    cache_available: Callable[[], bool]
    database_available: Callable[[], bool]
    relay_period_seconds: int


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, checked as far as its operation's row says.

    `product_id`, `name` or `username` is what the path names; `body` and `query` are of the row's types; `session` is
    the current one of `token`, when the row is not for anyone. `if_match` are the versions that the client accepts,
    None any.
    """

    product_id: int = 0
    name: str = ""
    username: str = ""
    body: Any = None
    query: Any = None
    token: str = ""
    current: Session | None = None
    if_match: list[int] | None = None

    @property
    def session(self) -> Session:
        """Who asks. LookupError in an operation that is for anyone."""
        if self.current is None:
            raise LookupError("this operation is for anyone: nobody needs to be logged in")
        return self.current


@dataclass(frozen=True)
class Reply:
    """An answer; the body is encoded as JSON."""

    status: HTTPStatus
    body: msgspec.Struct | Sequence[msgspec.Struct] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def pending(invalidation: Invalidation) -> dict[str, str]:
    """The header of a write whose old value the cache may still have."""
    return {"X-Invalidation": "pending"} if invalidation.pending else {}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row: who may ask what, who answers, and what the answers look like.

    `allowed` are the roles that may ask, none: anyone, logged in or not. `query` describes the query string and `body`
    the request's body. `replies` are the bodies of the answers that are no errors, None for an empty one, and `headers`
    what those answers may carry; a GET that answers with an ETag answers 304 to whoever has that already. `problems`
    are errors; those that follow from other columns need not be named.
    """

    method: str
    path: str
    summary: str
    handler: Callable[[Services, Call], Reply]
    replies: Mapping[HTTPStatus, type[msgspec.Struct] | type[list[Any]] | None]
    headers: tuple[str, ...] = ()
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    allowed: tuple[Role, ...] = ANYONE
    if_match: bool = False
    problems: tuple[HTTPStatus, ...] = ()

    @property
    def path_parameters(self) -> list[str]:
        """What the path names: keys of PATH_PARAMETERS."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def conditional(self) -> bool:
        """Whether the client may say by If-None-Match what it has already."""
        return self.method == "GET" and "ETag" in self.headers

    def all_problems(self) -> list[HTTPStatus]:
        """Every error that this operation may answer with, apart from 500, and 503 where no database is asked."""
        implied = set(self.problems)
        if self.allowed:
            implied |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE}
        if self.allowed and self.allowed != LOGGED_IN:
            implied |= {HTTPStatus.FORBIDDEN}
        if self.path_parameters:
            implied |= {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE}
        if self.if_match:
            implied |= {HTTPStatus.PRECONDITION_FAILED}
        if self.query:
            implied |= {HTTPStatus.UNPROCESSABLE_ENTITY}
        if self.body:
            implied |= _BODY_PROBLEMS
        return sorted(implied)
