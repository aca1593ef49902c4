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


class KeyTemplate:
    """Makes keys such as `product:42` of `"product:{product_id}"` and a function's arguments.

    Text is percent-encoded, so that no argument can imitate another one's key.

    Raises:
        PolicyError: the template and the function's parameters do not match.
    """

    def __init__(self, template: str, function: Callable[..., object]) -> None:
        self._template = template
        self._signature = inspect.signature(function)
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        parameters = set(self._signature.parameters)
        if names != parameters:
            odd = ", ".join(sorted(names ^ parameters))
            raise PolicyError(f"key {template!r} must name every parameter of {function.__name__} and no other: {odd}")

    def key(self, *args: Any, **kwargs: Any) -> str:
        """The key of a call with these arguments."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = {name: quote(str(value), safe="") for name, value in bound.arguments.items()}
        return self._template.format(**values)


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
