"""What the protocol needs of a cache server."""

from typing import Protocol


class CacheUnavailableError(Exception):
    """The cache did not do what it was asked to."""


class CommandRefusedError(CacheUnavailableError):
    """The server answered, and refused this one command: a key of another type, no memory left, not the primary."""


class Client(Protocol):
    """Values are bytes. Methods raise CacheUnavailableError and nothing else, and may be called from any thread."""

    def get(self, key: str) -> bytes | None:
        """The value, or None when there is none."""

    def set(self, key: str, value: bytes, *, ttl_milliseconds: int) -> None:
        """Stores the value until the time to live has passed."""

    def delete(self, key: str) -> None:
        """Removes the value; no error when there is none."""

    def ping(self) -> None:
        """Returns when the server answers."""
