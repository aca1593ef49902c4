"""Entity tags. A product's is its version in quotes; another body's is made of its bytes."""

import hashlib
import re

import falcon

_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def version_tag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def content_tag(body: bytes) -> str:
    """The strong entity tag of a body that has no version."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def if_match(request: falcon.Request) -> list[int] | None:
    """The versions that the client accepts, by strong comparison; None when it sent no If-Match, or `*`."""
    if request.get_header("If-Match") is None:
        return None
    tags = request.if_match or ()
    if "*" in tags:
        return None
    return [int(tag) for tag in tags if not getattr(tag, "is_weak", False) and _VERSION.fullmatch(tag)]


def has_already(request: falcon.Request, tag: str) -> bool:
    """Whether the client has the body of this tag, by its If-None-Match: by weak comparison, or `*`."""
    tags = request.if_none_match or ()
    return "*" in tags or tag.strip('"') in tags
