"""A MySQL that lets in whoever sends an IAM token over TLS: as much of the protocol as one login and a session take.

Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html. RDS asks for the token by
switching to `mysql_clear_password`, whatever the client began with ("Connecting to your DB instance using IAM
authentication from the command line", RDS User Guide).
"""

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable

from local.tls import Certificates

_CLIENT_SSL = 0x0800
# CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION; PLUGIN_AUTH, CONNECT_ATTRS, its length as a number.
_CAPABILITIES = 0x0008 | 0x0200 | 0x2000 | 0x8000 | 0x0008_0000 | 0x0010_0000 | 0x0020_0000
_OK = b"\x00\x00\x00\x02\x00\x00\x00"
_REFUSED = b"\xff" + struct.pack("<H", 1045) + b"#28000Access denied for user"
_COM_QUERY, _COM_QUIT = 0x03, 0x01


class MysqlWithTokens:
    """Listens on loopback. `tokens` are the clear passwords that came; `in_clear` is all that came before TLS.

    :param certificates: what it shows. None: it offers no TLS, like a server or a man in the middle without any
    :param accepts: whether a token opens a session. Default: each does
    """

    def __init__(self, certificates: Certificates | None, accepts: Callable[[str], bool] = lambda _: True) -> None:
        self.tokens: list[str] = []
        self.in_clear = b""
        self._accepts = accepts
        self._context = None
        if certificates:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificates.cert_file, certificates.key_file)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.endpoint = f"localhost:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Waits until the one client that it serves has gone."""
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except TimeoutError:
            return
        client.settimeout(10)
        try:
            self._session(client)
        except (ConnectionError, ssl.SSLError, EOFError):
            return
        finally:
            client.close()

    def _session(self, client: socket.socket) -> None:
        _send(client, 0, self._greeting())
        number, hello = _receive(client)
        self.in_clear += hello
        if self._context is None:
            return
        client = self._context.wrap_socket(client, server_side=True)
        number, _ = _receive(client)
        _send(client, number + 1, b"\xfemysql_clear_password\x00")
        number, password = _receive(client)
        self.tokens.append(password.rstrip(b"\x00").decode())
        accepted = self._accepts(self.tokens[-1])
        _send(client, number + 1, _OK if accepted else _REFUSED)
        while accepted:
            number, command = _receive(client)
            if command[0] == _COM_QUIT:
                return
            assert command[0] == _COM_QUERY
            _send(client, number + 1, _OK)

    def _greeting(self) -> bytes:
        capabilities = _CAPABILITIES | (_CLIENT_SSL if self._context else 0)
        low, high = capabilities & 0xFFFF, capabilities >> 16
        salt = os.urandom(20).replace(b"\x00", b"\x01")
        return (
            b"\x0a8.4.10\x00"
            + struct.pack("<I", 1)
            + salt[:8]
            + b"\x00"
            + struct.pack("<HBHHB", low, 255, 2, high, 21)
            + bytes(10)
            + salt[8:]
            + b"\x00caching_sha2_password\x00"
        )


def _send(client: socket.socket, number: int, payload: bytes) -> None:
    client.sendall(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)


def _receive(client: socket.socket) -> tuple[int, bytes]:
    """A packet's number and payload. EOFError."""
    head = _exactly(client, 4)
    return head[3], _exactly(client, int.from_bytes(head[:3], "little"))


def _exactly(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = client.recv(size - len(found))
        if not part:
            raise EOFError
        found += part
    return found
