"""Docstrings of the constructs: every property has its meaning, its default and its errors."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import constructs_lib

NOT_EXPLAINED = {"self", "scope", "construct_id"}  # every construct has them
PUBLIC: Mapping[str, Any] = {name: getattr(constructs_lib, name) for name in constructs_lib.__all__}
DESCRIBED = {
    name: item
    for name, item in PUBLIC.items()
    if inspect.isfunction(item) or (inspect.isclass(item) and not issubclass(item, Exception))
}


def called(item: Any) -> Any:
    """What has the signature and the docstring: of a construct its constructor, as jsii hides it from `inspect`."""
    return item.__init__ if inspect.isclass(item) and not dataclasses.is_dataclass(item) else item


def undocumented(item: Any) -> list[str]:
    """What the docstring does not say of what can be passed."""
    doc = inspect.getdoc(called(item)) or ""
    params = dict(re.findall(r":param (\w+):(.*?)(?=\n:|\Z)", doc, re.DOTALL))
    signature = {n: p for n, p in inspect.signature(called(item)).parameters.items() if n not in NOT_EXPLAINED}
    missing = [f"{name} is not explained" for name in signature if name not in params]
    missing += [
        f"{name} has a default that is not said"
        for name, parameter in signature.items()
        if parameter.default is not inspect.Parameter.empty and "Default:" not in params.get(name, "Default:")
    ]
    return missing + [f"{name} does not exist" for name in params if name not in signature]


@pytest.mark.parametrize("name", DESCRIBED)
def test_everything_public_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(DESCRIBED[name])


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_property_is_explained_with_its_default(name: str) -> None:
    assert undocumented(DESCRIBED[name]) == []


@pytest.mark.parametrize("name", [n for n, item in DESCRIBED.items() if called(item) is not item])
def test_errors_are_named(name: str) -> None:
    module = inspect.getsource(inspect.getmodule(DESCRIBED[name]))  # type: ignore[arg-type]
    if "raise PropError" in module:
        assert ":raises PropError" in inspect.getsource(DESCRIBED[name])


def test_a_property_without_a_word_is_found() -> None:
    def example(scope: object, construct_id: str, *, said: int, unsaid: int, quiet: int = 3) -> None:
        """
        :param said: a number
        :param quiet: a number
        :param gone: a number
        """

    function: Callable[..., None] = example
    assert undocumented(function) == [
        "unsaid is not explained",
        "quiet has a default that is not said",
        "gone does not exist",
    ]


def test_everything_public_is_exported_by_name_and_in_order() -> None:
    assert all(hasattr(constructs_lib, name) for name in constructs_lib.__all__)
    assert len(set(constructs_lib.__all__)) == len(constructs_lib.__all__)
