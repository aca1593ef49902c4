"""The settings of every stage: read from the command line, laid over what the stage has, and checked.

A setting has a dotted key (``cache.node_type``). Its value is the one that ``-c KEY=VALUE`` gives, else the one in
`STAGES`, else the default of its field in settings_model.py. docs/settings.md is generated from both.
"""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import reduce
from types import NoneType
from typing import cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from stacks.settings_model import StageConfig, shown

__all__ = ["DEFAULT_STAGE", "STAGES", "ConfigError", "StageConfig", "example", "load", "settings", "shown", "values"]

DEFAULT_STAGE = "dev"


class ConfigError(ValueError):
    """A stage, key or value that is not allowed. The message names what was given and what is allowed."""


STAGES: Mapping[str, Mapping[str, object]] = {
    "dev": {
        "deletion_protection": False,
        "log_retention_days": 30,
        "network.zones": 2,
        "cache.node_type": "cache.t4g.micro",
        "cache.nodes": 1,
        "cache.multi_az": False,
        "cache.snapshot_retention_days": 1,
        "cache.auth_token_rotation_days": None,
        "database.instance_type": "db.t4g.micro",
        "database.multi_az": False,
        "database.backup_retention_days": 1,
        "database.insights": "off",
        "database.sample_data": True,
        "backup.retention_days": None,
        "app.reserved_concurrency": None,
        "app.release": "direct",
        "web.allowed_cidrs": (),
        "web.firewall": False,
    },
    "prod": {
        "deletion_protection": True,
        "log_retention_days": 365,
        "network.zones": 3,
        "cache.node_type": "cache.r7g.large",
        "cache.nodes": 3,
        "cache.multi_az": True,
        "cache.snapshot_retention_days": 15,
        "cache.auth_token_rotation_days": 30,
        "database.instance_type": "db.r7g.large",
        "database.multi_az": True,
        "database.allocated_storage_gib": 100,
        "database.max_allocated_storage_gib": 1000,
        "database.backup_retention_days": 15,
        "database.insights": "advanced",
        "database.sample_data": False,
        "backup.retention_days": 35,
        "app.reserved_concurrency": 100,
        "app.release": "linear",
        "web.allowed_cidrs": ("0.0.0.0/0",),
        "web.firewall": True,
    },
}


def settings() -> dict[str, FieldInfo]:
    """Every setting by its dotted key, in the order of the model."""
    return {key: field for key, field in _walk(StageConfig) if key != "stage"}


def values(config: StageConfig) -> dict[str, object]:
    """The value of every setting by its dotted key."""
    return {key: reduce(getattr, key.split("."), cast(object, config)) for key in settings()}


def example(key: str) -> str:
    """A value that a setting may have, as it is written on the command line."""
    field = settings()[key]
    if field.examples:
        return str(field.examples[0])
    return shown(STAGES["prod"].get(key, None if field.is_required() else field.default))


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
            raise ConfigError(f"unknown setting {key!r}.{_meant(key, fields)} All settings: docs/settings.md")
        values[key] = _from_text(fields[key], text)
    try:
        # JSON mode makes addresses and tuples out of text and lists, and is strict about all else.
        return StageConfig.model_validate_json(json.dumps({"stage": stage} | _nested(values)))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(fields, values | dict(overrides or {}), error))) from error


def _meant(key: str, fields: Mapping[str, FieldInfo]) -> str:
    close = get_close_matches(key, ["stage", *fields], n=2)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _walk(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _from_text(field: FieldInfo, text: str) -> object:
    kinds = get_args(field.annotation) or (field.annotation,)
    if get_origin(field.annotation) is tuple:
        return [] if text == "none" else [item.strip() for item in text.split(",")]
    if NoneType in kinds and text == "none":
        return None
    if str in kinds or any(isinstance(kind, str) for kind in kinds):
        return text
    try:
        return json.loads(text)
    except ValueError:  # not JSON, or a number of more digits than Python reads
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
        if key is None:
            yield message
            continue
        # A regular expression explains nothing; the example does.
        reason = "it has another form" if problem["type"] == "string_pattern_mismatch" else message
        yield (
            f"{key}={given.get(key)} is not allowed: {reason}. Example: {key}={example(key)}. {fields[key].description}"
        )
