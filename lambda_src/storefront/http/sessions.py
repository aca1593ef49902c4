"""Logging in and out."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from cache_aside import Invalidation
from storefront.entities import Role
from storefront.http.operations import (
    CREATED,
    LOGGED_IN,
    NO_CONTENT,
    OK,
    PRIVATE,
    Call,
    Operation,
    Reply,
    Services,
    pending,
)

# What a run of the relay takes at most: docs/consistency.md.
_RELAY_RUN_SECONDS = 2

Username = Annotated[str, Meta(min_length=1, max_length=100, pattern="^[^\\x00]*$")]
Password = Annotated[str, Meta(min_length=1, max_length=1024)]


class Credentials(msgspec.Struct):
    """Who wants to log in."""

    username: Username
    password: Password


class SessionCreated(msgspec.Struct):
    """The bearer token of a new session, shown this once."""

    token: str
    expires_at: datetime


class CurrentSession(msgspec.Struct):
    """Who is logged in, as what, and until when."""

    username: str
    role: Role
    expires_at: datetime


class RevocationPending(msgspec.Struct):
    """The sessions have ended, but the cache could not be told everywhere yet.

    Whoever reaches the cache may still be let in with their tokens, for at most `holds_within_seconds` once the cache
    can be reached again. While it cannot, the tokens are refused, as the database is asked.
    """

    holds_within_seconds: int


REVOKED = {NO_CONTENT: None, HTTPStatus.ACCEPTED: RevocationPending}
"""The replies of what ends sessions."""


def log_in(services: Services, call: Call) -> Reply:
    token, session = services.sessions.log_in(call.body.username, call.body.password)
    return Reply(CREATED, SessionCreated(token, session.expires_at), PRIVATE)


def current_session(_services: Services, call: Call) -> Reply:
    session = call.session
    return Reply(OK, CurrentSession(session.username, session.role, session.expires_at), PRIVATE)


def log_out(services: Services, call: Call) -> Reply:
    return revoked(services, services.sessions.log_out(call.token))


def revoked(services: Services, invalidation: Invalidation) -> Reply:
    """204 once no server that may answer for the cache lets the ended sessions in; 202 until then, with the bound."""
    if invalidation.confirmed:
        return Reply(NO_CONTENT)
    body = RevocationPending(holds_within_seconds=services.relay_period_seconds + _RELAY_RUN_SECONDS)
    return Reply(HTTPStatus.ACCEPTED, body, PRIVATE | pending(invalidation))


OPERATIONS = (
    Operation(
        method="POST",
        path="/sessions",
        summary="Log in",
        handler=log_in,
        body=Credentials,
        replies={CREATED: SessionCreated},
        headers=("Cache-Control",),
        problems=(HTTPStatus.UNAUTHORIZED,),
    ),
    Operation(
        method="GET",
        path="/sessions/current",
        summary="Who is logged in",
        handler=current_session,
        allowed=LOGGED_IN,
        replies={OK: CurrentSession},
        headers=("Cache-Control",),
    ),
    Operation(
        method="DELETE",
        path="/sessions/current",
        summary="Log out",
        handler=log_out,
        allowed=LOGGED_IN,
        replies=REVOKED,
        headers=("Cache-Control", "X-Invalidation"),
    ),
)
