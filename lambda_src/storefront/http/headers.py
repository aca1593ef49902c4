"""Entity tags, and the headers of every answer, whoever made it."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import falcon

# What OWASP's REST Security Cheat Sheet asks of an API: nothing is sniffed, framed, run or told to another site.
USUAL = {
    # Only this project's cache knows when a value is obsolete: every other one has to ask before it answers.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Two years, what browsers' preload lists ask for at least being one. Browsers ignore it without TLS (RFC 6797, 8.1).
_OVER_TLS = USUAL | {"Strict-Transport-Security": "max-age=63072000; includeSubDomains"}
EVERY_ANSWER = {name.lower(): value for name, value in _OVER_TLS.items()}
"""What every answer carries, the last over HTTPS only, unless it says otherwise itself."""
_IRREGULAR = {"etag": "ETag", "www-authenticate": "WWW-Authenticate"}
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def version_tag(version: int) -> str:
    """The strong entity tag of a product: its version in quotes."""
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


def with_usual_headers(app: WSGIApplication) -> WSGIApplication:
    """Adds what every answer carries, unless the answer itself says otherwise.

    falcon sends names in lower case, as HTTP allows; people and scripts look for X-Cache as it is documented.
    """

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            own = {_IRREGULAR.get(name, name.title()): value for name, value in headers}
            usual = _OVER_TLS if environ["wsgi.url_scheme"] == "https" else USUAL
            return start_response(status, list((usual | own).items()), *rest)

        return app(environ, start)

    return call
