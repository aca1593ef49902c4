"""The storefront over engines of its own, as generated requests may change anything, behind a real HTTP server."""

import threading
from collections.abc import Iterator
from wsgiref.types import WSGIApplication

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.storefront.running import (
    app,
    certificates,
    directory,
    engine,
    environment,
    migrated,
    pytest_generate_tests,
    secrets_manager,
    settings,
    valkey,
)

__all__ = [
    "app",
    "certificates",
    "directory",
    "engine",
    "environment",
    "migrated",
    "pytest_generate_tests",
    "secrets_manager",
    "settings",
    "valkey",
]


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Thousands of them."""


@pytest.fixture(scope="session")
def url(app: WSGIApplication) -> Iterator[str]:
    """Where the app is served."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, name="contract-server")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
