"""The app itself: its health, its errors, its description."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType


class Liveness(msgspec.Struct):
    """The process serves."""

    status: str


class Readiness(msgspec.Struct):
    """What the process depends on: each `available` or `unavailable`."""

    cache: str
    database: str


class Problem(msgspec.Struct):
    """An error (RFC 9457). `cache` and `database` are there when the app is not ready."""

    title: str
    status: int
    type: Literal["about:blank"] = "about:blank"
    detail: str | UnsetType = UNSET
    cache: str | UnsetType = UNSET
    database: str | UnsetType = UNSET


class OpenApiDocument(msgspec.Struct):
    """The description of all operations."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]
