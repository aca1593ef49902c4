"""How a stage is read: its values, with the command line's overrides laid over them."""

import json
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from stacks.config import STAGES, StageConfig

DEFAULT_STAGE = "dev"


class ConfigError(ValueError):
    """A stage, key or value that is not allowed. The message names what was given and what is allowed."""


def settings() -> dict[str, FieldInfo]:
    """Every setting by its dotted key, in the order of the model; README's table is generated from it."""
    return {key: field for key, field in _walk(StageConfig) if key != "stage"}


def load(stage: str, overrides: Mapping[str, str] | None = None) -> StageConfig:
    """The settings of `stage` with `overrides` (dotted key to text) laid over them.

    Text is converted by the setting's type: ``none`` where a setting may be unset, comma-separated for a list. It is
    then checked as strictly as a value of `STAGES`.

    :raises ConfigError: for an unknown stage or key, and for every value that is not allowed
    """
    if stage not in STAGES:
        raise ConfigError(f"unknown stage {stage!r}; allowed: {', '.join(STAGES)}")
    fields = settings()
    values = dict(STAGES[stage])
    for key, text in (overrides or {}).items():
        if key not in fields:
            raise ConfigError(f"unknown setting {key!r}; allowed: stage, {', '.join(fields)}")
        values[key] = _from_text(fields[key], text)
    try:
        # JSON mode makes addresses and tuples out of text and lists, and is strict about all else.
        return StageConfig.model_validate_json(json.dumps({"stage": stage} | _nested(values)))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(fields, values | dict(overrides or {}), error))) from error


def _walk(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _from_text(field: FieldInfo, text: str) -> object:
    kinds = get_args(field.annotation) or (field.annotation,)
    if get_origin(field.annotation) is tuple:
        return [item.strip() for item in text.split(",")]
    if NoneType in kinds and text == "none":
        return None
    if str in kinds or any(isinstance(kind, str) for kind in kinds):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {key: value for key, value in values.items() if "." not in key}
    for group in {key.partition(".")[0] for key in values if "." in key}:
        tree[group] = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{group}.")}
    return tree


def _explain(fields: Mapping[str, FieldInfo], given: Mapping[str, object], error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        key = next((k for k in fields if tuple(k.split(".")) == problem["loc"][: k.count(".") + 1]), None)
        yield f"{key}={given.get(key)} is not allowed: {message} ({fields[key].description})" if key else message
