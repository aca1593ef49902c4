"""What tests do as clients of the app."""

import time
from collections.abc import Callable
from wsgiref.types import WSGIApplication

import httpx


def wait_until(condition: Callable[[], bool]) -> None:
    """Blocks until the condition holds; 30 s at most."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def until_cached(client: httpx.Client, path: str) -> None:
    """Waits until the app uses the cache again, which an earlier test may have killed."""
    wait_until(lambda: client.get(path).headers["X-Cache"] != "BYPASS")


def log_in(app: WSGIApplication, credentials: dict[str, str]) -> str:
    """The token of a new session."""
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://storefront") as anonymous:
        return str(anonymous.post("/sessions", json=credentials).json()["token"])


def bearer(token: str) -> dict[str, str]:
    """The header of a session."""
    return {"Authorization": f"Bearer {token}"}
