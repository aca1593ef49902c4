"""The OpenAPI document of a table of operations."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from storefront.http.codec import schema_hook
from storefront.http.operations import Operation
from storefront.http.problems import MEDIA_TYPE, Problem
from storefront.http.requests import PATH_PARAMETERS

_REFERENCE = "#/components/schemas/{name}"
_HEADERS = {
    "Cache-Control": "`no-store`: for nobody but who asked.",
    "ETag": "Of a product: its version, for If-Match and If-None-Match. Else a hash of the body, for If-None-Match.",
    "Location": "The path of the new product.",
    "Retry-After": "Seconds.",
    "WWW-Authenticate": "`Bearer`.",
    "X-Cache": "HIT: from the cache. JOINED: from the load of another request, which this one waited for. "
    "MISS: from the database, and cached. BYPASS: from the database, as the cache is "
    "out of reach, does not have it in time, or is never asked for it. STALE: the last value known, past its time but "
    "changed by nobody, as the database is out of reach or slow. Of a page: the worst that is true of one of its "
    "products, STALE before BYPASS before MISS before JOINED; BYPASS when it is empty.",
    "X-Invalidation": "`pending`: committed, but the cache did not confirm in time that it forgot the old value. It is "
    "told again until it has.",
}

# What comes with every answer that may have it; the others only when there is something to say.
_ALWAYS = _HEADERS.keys() - {"Cache-Control", "X-Invalidation"}
_OF_PROBLEMS = {
    HTTPStatus.UNAUTHORIZED: ["WWW-Authenticate"],
    HTTPStatus.SERVICE_UNAVAILABLE: ["Retry-After"],
}


class OpenApiDocument(msgspec.Struct):
    """The description of all operations."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


def document(operations: Sequence[Operation]) -> OpenApiDocument:
    """OpenAPI 3.1: https://spec.openapis.org/oas/v3.1.1.html."""
    types = {kind for row in operations for kind in (row.body, *row.replies.values()) if kind} | {Problem}
    ordered = sorted(types, key=str)
    _, schemas = msgspec.json.schema_components(ordered, schema_hook=schema_hook, ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for row in operations:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    return OpenApiDocument(
        openapi="3.1.1",
        info={"title": "Storefront", "version": "1", "description": "Products, read through a cache."},
        paths=paths,
        components={
            "schemas": _decimals_are_numbers(schemas),
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer"}},
        },
    )


def _decimals_are_numbers(schema: Any) -> Any:
    """As the codec sends them, all of their digits; msgspec's schemas describe strings."""
    if isinstance(schema, list):
        return [_decimals_are_numbers(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"type": "number"}
    return {name: _decimals_are_numbers(part) for name, part in schema.items()}


def _operation(row: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"summary": row.summary, "operationId": row.handler.__name__}
    if parameters := _parameters(row):
        described["parameters"] = parameters
    if row.body:
        described["requestBody"] = {"required": True, "content": _content("application/json", row.body)}
    if row.allowed:
        described["security"] = [{"session": []}]
        described["x-allowed-roles"] = list(row.allowed)
    described["responses"] = {str(status.value): _reply(row, status) for status in row.replies}
    if row.conditional:
        described["responses"]["304"] = _reply(row, HTTPStatus.NOT_MODIFIED)
    described["responses"] |= {str(status.value): _problem(row, status) for status in row.all_problems()}
    return described


def _parameters(row: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name in row.path_parameters:
        schema = PATH_PARAMETERS[name].schema
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if row.query:
        schema = msgspec.json.schema_components([row.query])[1][row.query.__name__]
        for name, described in schema["properties"].items():
            parameters.append({"name": name, "in": "query", "schema": described})
    conditions = [("If-Match", row.if_match), ("If-None-Match", row.conditional)]
    parameters += [{"name": name, "in": "header", "schema": {"type": "string"}} for name, read in conditions if read]
    return parameters


def _reply(row: Operation, status: HTTPStatus) -> dict[str, Any]:
    reply: dict[str, Any] = {"description": status.phrase, "headers": {name: _header(name) for name in row.headers}}
    if kind := row.replies.get(status):
        reply["content"] = _content("application/json", kind)
    return reply


def _problem(row: Operation, status: HTTPStatus) -> dict[str, Any]:
    headers = {name: _header(name) for name in _OF_PROBLEMS.get(status, ())}
    if status is HTTPStatus.NOT_FOUND and "X-Cache" in row.headers:
        headers["X-Cache"] = _header("X-Cache") | {"required": False}  # there is none where the path can name nothing
    return {"description": status.phrase, "headers": headers, "content": _content(MEDIA_TYPE, Problem)}


def _header(name: str) -> dict[str, Any]:
    return {"description": _HEADERS[name], "required": name in _ALWAYS, "schema": {"type": "string"}}


def _content(media_type: str, kind: type[msgspec.Struct] | type[list[Any]]) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=schema_hook, ref_template=_REFERENCE)
    return {media_type: {"schema": schema}}
