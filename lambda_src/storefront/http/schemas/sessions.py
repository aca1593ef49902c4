"""Logging in and out."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from storefront.entities import Role

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
