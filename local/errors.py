"""What a user of `make up` can act on."""


class LocalError(RuntimeError):
    """Something on this machine is in the way; the message says what, and where to read more."""
