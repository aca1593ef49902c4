"""Why something was not done. Repositories and services raise these; http/problems.py words them."""

from collections.abc import Sequence


class ProductNotFoundError(Exception):
    """There is no such product."""


class VersionMismatchError(Exception):
    """The product was changed since the caller read it."""


class OutOfStockError(Exception):
    """There is less in stock than somebody wants to buy."""


class FlagNotFoundError(Exception):
    """No deployment has declared a flag of this name."""


class UserNotFoundError(Exception):
    """There is no user of this name."""


class UsernameTakenError(Exception):
    """Another user has this name."""


class RefusedError(Exception):
    """Somebody may not do what they asked for. `username` is who, None where only a claim says so."""

    def __init__(self, username: str | None = None) -> None:
        super().__init__()
        self.username = username


class OwnRoleError(RefusedError):
    """Operators cannot change their own role, so that there is always one left."""


class WrongCredentialsError(RefusedError):
    """No user has this name and password."""


class WrongPasswordError(RefusedError):
    """The logged-in user did not give their current password."""


class PasswordsBusyError(Exception):
    """As many passwords as the process may hash at once are being hashed; try again after `retry_after_seconds`."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class NotLoggedInError(RefusedError):
    """The token is not that of a session, the session has ended, or its user no longer has the role that it names."""


class NotAllowedError(RefusedError):
    """The session's user has none of the `roles` that may do this."""

    def __init__(self, roles: Sequence[str], username: str) -> None:
        super().__init__(username)
        self.roles = roles
