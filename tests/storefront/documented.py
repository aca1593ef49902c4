"""Whether an answer is one that the OpenAPI document announces."""

import re
from functools import cache
from typing import Any

import httpx

from storefront.http.openapi import document
from storefront.http.table import OPERATIONS


@cache
def _paths() -> dict[re.Pattern[str], dict[str, Any]]:
    paths = document(OPERATIONS).paths.items()
    return {re.compile(re.sub(r"{\w+}", "[^/]+", path)): operations for path, operations in paths}


def _operation(path: str, method: str) -> dict[str, Any] | None:
    matching = [operations for pattern, operations in _paths().items() if pattern.fullmatch(path)]
    return next((operations[method] for operations in matching if method in operations), None)


def assert_documented(response: httpx.Response) -> None:
    """Fails for a status, media type or header of our own that the operation does not name."""
    method = response.request.method.lower()
    path = response.request.url.path
    operation = _operation(path, "get" if method == "head" else method)
    if operation is None:
        assert response.status_code in (200, 404, 405)
        return
    described = operation["responses"].get(str(response.status_code))
    assert described, f"{method} {path} answered {response.status_code}, which the document does not name"
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
    elif response.status_code in (200, 201, 202):
        assert response.headers["content-type"] in described["content"]
        for name in ("etag", "location", "x-cache", "x-invalidation"):
            assert name not in response.headers or name in {known.lower() for known in described["headers"]}
