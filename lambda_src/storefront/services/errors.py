"""Why a service did not do what it was asked to."""

from collections.abc import Sequence


class ProductNotFoundError(Exception):
    """There is no such product."""


class VersionMismatchError(Exception):
    """The product was changed since the caller read it."""


class OutOfStockError(Exception):
    """There is less in stock than somebody wants to buy."""


class IdempotencyKeyReusedError(Exception):
    """The caller has used this key for another request."""


class WrongCredentialsError(Exception):
    """No user has this name and password."""


class WrongPasswordError(Exception):
    """Who is logged in has not given their password."""


class UsernameTakenError(Exception):
    """Another user has this name."""


class FlagNotFoundError(Exception):
    """No deployment has declared a flag of this name."""


class NotLoggedInError(Exception):
    """The token is not that of a session, or the session has ended."""


class NotAllowedError(Exception):
    """The session's user has none of the `roles` that may do this."""

    def __init__(self, roles: Sequence[str]) -> None:
        super().__init__()
        self.roles = roles
