"""The app under its production HTTP server, for those who speak HTTP badly on purpose."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local.web import WebServer, reserve

RawExchange = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's log."""
    return tmp_path_factory.mktemp("gunicorn") / "app.log"


@pytest.fixture(scope="module")
def port(migrated: object, log_file: Path) -> Iterator[int]:
    """Where the app listens, with a relay that must not run beside other tests."""
    listener = reserve(0)
    server = WebServer(
        listener,
        workers=1,
        environment=dict(os.environ),
        run_directory=log_file.parent,
        log_file=log_file,
        say=lambda _: None,
    )
    server.start()
    yield int(listener.getsockname()[1])
    server.stop()
    listener.close()


@pytest.fixture
def exchange(port: int) -> RawExchange:
    """Sends bytes on a new connection, and returns all that comes back until the server closes or says no more."""

    def talk(sent: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            received = b""
            # The server may have said all it has to say before it has read everything.
            with suppress(ConnectionError):
                connection.sendall(sent)
                with suppress(OSError):  # ENOTCONN is no ConnectionError
                    connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    received += chunk
            return received

    return talk
