"""Where a page goes on: the last id of the page before, in a form that nobody takes for more than it is."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

PATTERN = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"
"""Exactly the cursors that there are: eight bytes in base64, without the padding, of a number that is not negative."""


def encode_cursor(product_id: int) -> str:
    """The cursor of what follows this id."""
    return urlsafe_b64encode(product_id.to_bytes(8, "big")).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """The id, of a text that matches the pattern."""
    return int.from_bytes(urlsafe_b64decode(cursor + "="), "big")
