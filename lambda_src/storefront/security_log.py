"""The security log: who logged in, who was refused, and who was given which rights.

A line is one JSON object without any secret.
In AWS the fields also stand beside the message, where the metric filters of stacks/service_alarms.py look for them.
"""

import logging
from enum import StrEnum

import msgspec

from storefront.entities import Role

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """What happened."""

    PASSWORD_REFUSED = "password_refused"  # noqa: S105 - no password
    LOGGED_IN = "logged_in"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - no password
    REFUSED = "refused"
    USER_CREATED = "user_created"
    ROLE_CHANGED = "role_changed"
    USER_DISABLED = "user_disabled"
    SEAL_BROKEN = "seal_broken"


class SecurityEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line.

    `user` is whom it is about and `by` who did it: names of users that exist, never a text that somebody only claimed
    to be one, as that may be a password in the wrong field. `role` is what the user may do now and `previous_role` what
    before. `operation` is a row of the table of operations, such as `DELETE /products/{product_id}`.
    """

    event: Kind
    user: str | None = None
    by: str | None = None
    role: Role | None = None
    previous_role: Role | None = None
    operation: str | None = None


def record(event: SecurityEvent) -> None:
    """Write the line, at a level that every logging configuration lets through.

    Changes are recorded after their commit: a process that dies in between leaves the change without its line.
    """
    logger.warning(msgspec.json.encode(event).decode(), extra=msgspec.to_builtins(event))
