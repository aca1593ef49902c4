"""Whether an answer is one that the OpenAPI document announces: its status, its media type and its headers."""

import re
from functools import cache
from typing import Any

import httpx

from storefront.http.headers import EVERY_ANSWER
from storefront.http.openapi import document
from storefront.http.table import OPERATIONS

# What any server may say of a message; all else is the operation's, and has to be in the document.
_OF_EVERY_MESSAGE = {"content-length", "content-type"}


@cache
def _paths() -> dict[re.Pattern[str], dict[str, Any]]:
    paths = document(OPERATIONS).paths.items()
    return {re.compile(re.sub(r"{\w+}", "[^/]+", path)): operations for path, operations in paths}


def _operation(path: str, method: str) -> dict[str, Any] | None:
    matching = [operations for pattern, operations in _paths().items() if pattern.fullmatch(path)]
    return next((operations[method] for operations in matching if method in operations), None)


def assert_documented(response: httpx.Response) -> None:
    """Fails for a status, media type or header that the operation does not name, and for a header that it lacks."""
    method = response.request.method.lower()
    path = response.request.url.path
    operation = _operation(path, "get" if method == "head" else method)
    if operation is None:
        assert response.status_code in (200, 404, 405)
        return
    described = operation["responses"].get(str(response.status_code))
    assert described, f"{method} {path} answered {response.status_code}, which the document does not name"
    _assert_headers(response, described["headers"])
    content = described.get("content", {})
    assert not content or response.headers["content-type"] in content


def _assert_headers(response: httpx.Response, described: dict[str, Any]) -> None:
    known = {name.lower(): header["required"] for name, header in described.items()}
    usual = {name for name, value in EVERY_ANSWER.items() if response.headers.get(name) == value}
    sent = set(response.headers.keys()) - _OF_EVERY_MESSAGE - usual
    assert sent <= known.keys(), f"{sent - known.keys()} is not in the document"
    assert {name for name, required in known.items() if required} <= sent
