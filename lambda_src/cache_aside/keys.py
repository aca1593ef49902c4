"""What a key may be, what it is called on the server, and functions whose arguments are the key.

Anything that is no key is refused before anything is done: it would name another key, or none.
"""

import inspect
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import update_wrapper
from string import Formatter, ascii_letters, digits
from typing import Any, Generic, ParamSpec, TypeVar
from urllib.parse import quote

from cache_aside.errors import PolicyError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_OWNERS = {"self", "cls"}
_IN_WRITTEN = frozenset(f"{ascii_letters}{digits}_.-~%!")  # what `_written` makes of arguments
_MOST_NAMESPACE_BYTES = 255
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


def check(key: str) -> None:
    """`checked` for one key, in a tenth of the time for most."""
    if not (isinstance(key, str) and key.isascii() and len(key) <= _MOST_BYTES):
        checked((key,))


class Namespace:
    """Puts `namespace:` before each key that is sent to the server; nobody else ever sees it.

    Args:
        name: default "": no namespace, and keys are sent as they are.

    Raises:
        PolicyError: it is no str, is longer than 255 bytes in UTF-8, cannot be encoded, or has a ':', so that two
            namespaces could share keys.
    """

    def __init__(self, name: str = "") -> None:
        if not isinstance(name, str) or ":" in name:
            raise PolicyError(f"namespace must be a str without ':' such as 'shop', not {name!r}")
        try:
            size = len(name.encode())
        except UnicodeEncodeError as error:
            raise PolicyError(f"namespace must be a str that UTF-8 can encode, such as 'shop', not {name!r}") from error
        if size > _MOST_NAMESPACE_BYTES:
            most = _MOST_NAMESPACE_BYTES
            raise PolicyError(f"namespace has {most} bytes at most, such as 'shop'; this one has {size:,}")
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


class KeyTemplate:
    """Makes keys such as `product:42` of `"product:{product_id}"` and a function's arguments.

    Text is percent-encoded, so that no argument can imitate another one's key; None, True and False are written with a
    `!`, which encoded text never has, so that they are not taken for their names. A method's `self` is no part of it.

    Raises:
        PolicyError: the template and the function's parameters do not match, or nothing keeps two of them apart that
            percent-encoded text lacks: `{a}-{b}` makes the same key of ("x-y", "z") and of ("x", "y-z").
    """

    def __init__(self, template: str, function: Callable[..., object]) -> None:
        self._template = template
        self._signature = inspect.signature(function)
        fields = [
            (before, name, spec, conversion)
            for before, name, spec, conversion in Formatter().parse(template)
            if name is not None
        ]
        for number, (before, name, spec, conversion) in enumerate(fields):
            if spec or conversion:
                raise PolicyError(
                    f"key {template!r} must name {name!r} plainly, as {{{name}}}: a format may cut values"
                )
            if number and not set(before) - _IN_WRITTEN:
                raise PolicyError(f"key {template!r} must keep {name!r} from what stands before it by ':' or '/'")
        names = {name for _, name, _, _ in fields}
        parameters = set(self._signature.parameters) - _OWNERS
        if names != parameters:
            odd = ", ".join(sorted(names ^ parameters))
            raise PolicyError(f"key {template!r} must name every parameter of {function.__name__} and no other: {odd}")

    def key(self, *args: Any, **kwargs: Any) -> str:
        """The key of a call with these arguments."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        written = {name: _written(value) for name, value in bound.arguments.items() if name not in _OWNERS}
        return self._template.format(**written)


def _written(value: object) -> str:
    if type(value).__str__ is object.__str__ and type(value).__repr__ is object.__repr__:
        raise TypeError(f"an argument must say in its str() which one it is, as 42 or 'ann' do; {value!r} does not")
    return f"!{value}" if value is None or isinstance(value, bool) else quote(str(value), safe="")


class Cached(Generic[P, R]):
    """A function read through the cache; call it as before.

    Attributes:
        key: the key of a call with these arguments.
        invalidate: delete that key; awaitable where the function is.
    """

    def __init__(
        self,
        template: str,
        function: Callable[P, R],
        read: Callable[..., R],
        invalidate: Callable[[str], Any],
    ) -> None:
        self._function, self._read, self._invalidate = function, read, invalidate
        self._template = KeyTemplate(template, function)
        update_wrapper(self, function)

    def __get__(self, owner: object, kind: type | None = None) -> "Cached[..., R]":
        """The method of an object: `key` and `invalidate` take the arguments that follow `self`."""
        return self if owner is None else _Bound(self, owner)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The cached value; the function runs when there is none."""
        return self._read(self.key(*args, **kwargs), self._call, args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        return self._function(*args, **kwargs)

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of a call with these arguments."""
        return self._template.key(*args, **kwargs)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Delete the key of a call with these arguments: what the client's `invalidate` returns."""
        return self._invalidate(self.key(*args, **kwargs))


class _Bound(Cached[..., R]):
    """A cached function with its `self`."""

    def __init__(self, function: Cached[..., R], owner: object) -> None:
        self._whole, self._owner = function, owner

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        return self._whole(self._owner, *args, **kwargs)

    def key(self, *args: Any, **kwargs: Any) -> str:
        return self._whole.key(self._owner, *args, **kwargs)

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return self._whole.invalidate(self._owner, *args, **kwargs)
