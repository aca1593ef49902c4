"""A TLS front on loopback for an engine whose build has no TLS: `python local/tls_front.py --help`.

One connection of a client is one connection of the engine. When the engine cannot be reached the client's connection
is reset, as a dead server's would be. The engine listens on a Unix socket in a directory of its own: on a port, another
user of the machine could take its place when it has ended, and would be sent passwords in plain text.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import cast

_CHUNK_BYTES = 65536
# PostgreSQL, "Message Formats": a length of 8 and a request code, sent before any TLS record.
_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_GSSENC_REQUEST = struct.pack("!II", 8, 80877104)


@dataclass(frozen=True)
class TlsFront:
    """Terminates TLS for the plain-text engine on the Unix socket `target`."""

    target: Path
    context: ssl.SSLContext
    postgres: bool

    async def serve(self, port: int) -> None:
        """Listens on 127.0.0.1:`port` until the process is asked to end."""
        server = await asyncio.start_server(self._handle, "127.0.0.1", port, backlog=512)
        ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
        server.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.postgres:
            _pause(writer)
        try:
            # The engine first: a client of a dead engine must not wait for a handshake to learn that it is dead.
            target_reader, target_writer = await asyncio.open_unix_connection(self.target)
        except OSError:
            _reset(writer)
            return
        try:
            if not self.postgres or await _wants_tls(reader, writer):
                await writer.start_tls(self.context)
                await asyncio.gather(_pump(reader, target_writer), _pump(target_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, target_writer):
                end.transport.abort()


async def _wants_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answers PostgreSQL's negotiation; False for a client that would speak plain text."""
    request = await reader.readexactly(8)
    if request == _GSSENC_REQUEST:
        writer.write(b"N")
        request = await reader.readexactly(8)
    if request != _SSL_REQUEST:
        return False
    _pause(writer)
    writer.write(b"S")
    await writer.drain()
    return True


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copies until either end closes; closing the sink then ends the opposite direction too."""
    with contextlib.suppress(OSError):
        while chunk := await source.read(_CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
    sink.close()


def _pause(writer: asyncio.StreamWriter) -> None:
    """Leaves what the client sends next, its ClientHello, to TLS; start_tls resumes reading."""
    cast(asyncio.Transport, writer.transport).pause_reading()


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        linger_zero = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    writer.transport.abort()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="loopback port to listen on")
    parser.add_argument("--target", type=Path, required=True, help="Unix socket of the engine")
    parser.add_argument("--certificate", type=Path, required=True, help="PEM file of the server certificate")
    parser.add_argument("--key", type=Path, required=True, help="PEM file of its key")
    parser.add_argument("--postgres", action="store_true", help="speak PostgreSQL's negotiation before TLS")
    arguments = parser.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(arguments.certificate, arguments.key)
    asyncio.run(TlsFront(arguments.target, context, arguments.postgres).serve(arguments.port))


if __name__ == "__main__":
    main()
