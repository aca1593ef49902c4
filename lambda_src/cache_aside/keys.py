"""What a key may be, and what it is called on the server.

Anything that is no key is refused before anything is done: it would name another key, or none.
"""

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from cache_aside.errors import PolicyError

T = TypeVar("T")

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


class Namespace:
    """Puts `namespace:` before each key that is sent to the server; nobody else ever sees it.

    Args:
        name: default "": no namespace, and keys are sent as they are.

    Raises:
        PolicyError: it is no str, or has a ':', so that two namespaces could share keys.
    """

    def __init__(self, name: str = "") -> None:
        if not isinstance(name, str) or ":" in name:
            raise PolicyError(f"namespace must be a str without ':' such as 'shop', not {name!r}")
        self._prefix = f"{name}:" if name else ""

    def full(self, key: str) -> str:
        """The key on the server."""
        return self._prefix + checked((key,))[0] if self._prefix else key

    def full_keys(self, keys: Iterable[str]) -> Iterable[str]:
        """The keys on the server."""
        return [self._prefix + key for key in checked(keys)] if self._prefix else keys

    def names(self, keys: Sequence[str]) -> Sequence[str]:
        """What the application calls these keys of the server."""
        return [key[len(self._prefix) :] for key in keys] if self._prefix else keys

    def by_full_key(self, values: Mapping[str, T]) -> Mapping[str, T]:
        """What the application loaded by its names, by the keys on the server.

        Raises:
            TypeError: it is no mapping.
        """
        if not isinstance(values, Mapping):
            kind = type(values).__name__
            raise TypeError(f"the loader of many keys must return a dict such as {{'product:42': value}}, not {kind}")
        return {self._prefix + key: value for key, value in values.items()} if self._prefix else values

    def by_name(self, results: dict[str, T]) -> dict[str, T]:
        """The other way round."""
        return {key[len(self._prefix) :]: result for key, result in results.items()} if self._prefix else results
