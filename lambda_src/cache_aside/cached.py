"""The decorator form: a function whose arguments are the key."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from string import Formatter
from typing import Any, Generic, ParamSpec, TypeVar
from urllib.parse import quote

from cache_aside.errors import PolicyError

P = ParamSpec("P")
R = TypeVar("R")
_OWNERS = {"self", "cls"}


class KeyTemplate:
    """Makes keys such as `product:42` of `"product:{product_id}"` and a function's arguments.

    Text is percent-encoded, so that no argument can imitate another one's key; None, True and False are written with a
    `!`, which encoded text never has, so that they are not taken for their names. A method's `self` is no part of it.

    Raises:
        PolicyError: the template and the function's parameters do not match.
    """

    def __init__(self, template: str, function: Callable[..., object]) -> None:
        self._template = template
        self._signature = inspect.signature(function)
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        parameters = set(self._signature.parameters) - _OWNERS
        if names != parameters:
            odd = ", ".join(sorted(names ^ parameters))
            raise PolicyError(f"key {template!r} must name every parameter of {function.__name__} and no other: {odd}")

    def key(self, *args: Any, **kwargs: Any) -> str:
        """The key of a call with these arguments."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return self._template.format(**{name: _written(value) for name, value in bound.arguments.items()})


def _written(value: object) -> str:
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
