"""What a key may be. Anything else is refused before anything is done: it would name another key, or none."""

import reprlib
from collections.abc import Iterable

_MOST_BYTES = 2**16 - 1  # an envelope has two bytes for the size of its key


def checked(keys: Iterable[str]) -> tuple[str, ...]:
    """These keys, once it is certain that each can be one.

    Raises:
        TypeError: a key is no str, or all of `keys` is one.
        ValueError: a key is longer than 65,535 bytes in UTF-8, or cannot be encoded.
    """
    if isinstance(keys, str):
        raise TypeError(f"keys are a list such as ['product:42'], not the str {reprlib.repr(keys)}")
    given = tuple(keys)
    for key in given:
        if not isinstance(key, str):
            many = "for many: invalidate(*keys), get_many_or_load(keys, ...)"
            raise TypeError(f"a key is a str such as 'product:42', not {reprlib.repr(key)}; {many}")
        if (size := len(key.encode())) > _MOST_BYTES:
            raise ValueError(f"a key has {_MOST_BYTES:,} bytes at most, such as 'product:42'; this one has {size:,}")
    return given
