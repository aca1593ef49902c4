"""Why a service did not do what it was asked to."""


class ProductNotFoundError(Exception):
    """There is no such product."""


class VersionMismatchError(Exception):
    """The product was changed since the caller read it."""


class WrongCredentialsError(Exception):
    """No user has this name and password."""


class NotLoggedInError(Exception):
    """The token is not that of a session, or the session has ended."""
