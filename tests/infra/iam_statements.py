"""Every statement of every policy in the templates, written so that a reviewer can read it."""

from collections.abc import Iterator
from typing import Any

from tests.infra.synthesis import Stage

Statement = dict[str, Any]


def statements(stage: Stage) -> list[Statement]:
    """All statements, each with the stack, the resource and its type that carry it."""
    return [
        {"in": f"{stack}/{logical_id}", "type": resource["Type"], **_readable(statement)}
        for stack, template in stage.templates.items()
        for logical_id, resource in template["Resources"].items()
        for statement in _found(resource.get("Properties", {}))
    ]


def _found(value: Any) -> Iterator[Statement]:
    if isinstance(value, dict):
        if isinstance(value.get("Statement"), list):
            yield from value["Statement"]
        else:
            for item in value.values():
                yield from _found(item)
    elif isinstance(value, list):
        for item in value:
            yield from _found(item)


def _readable(statement: Statement) -> Statement:
    lists: dict[str, Any] = {
        key: sorted(map(_text, _listed(statement[key]))) for key in ("Action", "Resource") if key in statement
    }
    given = statement.get("Principal", {})
    named = {"AWS": given} if isinstance(given, str) else given  # a bare "*" means the same
    principal = {kind: sorted(map(_text, _listed(names))) for kind, names in named.items()}
    rest = {"Principal": principal} if principal else {}
    condition = {"Condition": _condition(statement["Condition"])} if "Condition" in statement else {}
    return {"Effect": statement["Effect"], **rest, **lists, **condition}


def _condition(value: Any) -> Any:
    if isinstance(value, dict) and not _is_intrinsic(value):
        return {_text(key): _condition(item) for key, item in value.items()}
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return list(map(_condition, value))
    return _text(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_intrinsic(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _text(value: Any) -> str:
    if isinstance(value, dict) and _is_intrinsic(value):
        ((function, argument),) = value.items()
        if function == "Fn::Join":
            return str(argument[0]).join(map(_text, argument[1]))
        if function == "Fn::Select" and isinstance(argument[1], dict):
            return f"{_text(argument[1])}[{argument[0]}]"
        return f"<{argument if isinstance(argument, str) else '.'.join(map(_text, argument))}>"
    return str(value)
