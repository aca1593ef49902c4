"""Entity tags: a product's is its version in quotes."""

import re
from collections.abc import Sequence

import falcon

_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def etag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def if_match(request: falcon.Request) -> list[int] | None:
    """The versions that the client accepts, by strong comparison; None when it sent no If-Match, or `*`."""
    if request.get_header("If-Match") is None:
        return None
    return _versions(request.if_match or (), weak=False)


def if_none_match(request: falcon.Request) -> list[int] | None:
    """The versions that the client has, by weak comparison; empty when it sent no If-None-Match, None when `*`."""
    return _versions(request.if_none_match or (), weak=True)


def _versions(tags: Sequence[str], *, weak: bool) -> list[int] | None:
    if "*" in tags:
        return None
    matching = (tag for tag in tags if weak or not getattr(tag, "is_weak", False))
    return [int(tag) for tag in matching if _VERSION.fullmatch(tag)]
