"""A loopback TCP proxy that delays, blackholes, resets or refuses, between a client and an engine's TLS front."""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from enum import Enum

from local.processes import free_port

_CHUNK_BYTES = 65536


class Fault(Enum):
    """What happens to connections, those that exist and new ones alike."""

    NONE = "none"
    SLOW = "slow"
    """Each chunk towards the client arrives late, by a random time between the two `delays_seconds`."""
    BLACKHOLE = "blackhole"
    """Connections are accepted and bytes are swallowed."""
    RESET = "reset"
    REFUSED = "refused"


class FaultProxy:
    """Forwards to `target_port` until it is told to `inject` something. A context manager."""

    def __init__(self, target_port: int, *, delays_seconds: tuple[float, float] = (0.5, 1.0)) -> None:
        self.port = free_port()
        self.accepted = 0
        self._target_port, self._delays = target_port, delays_seconds
        self._fault = Fault.NONE
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def inject(self, fault: Fault) -> None:
        """Do this to every connection from now on."""
        self._call(self._inject(fault))

    def retarget(self, port: int) -> None:
        """Lead new connections to another server, as a DNS name does after a failover, and reset those that exist."""
        self._target_port = port
        self._call(self._reset())

    def reset_connections(self) -> None:
        """Reset the connections that exist; new ones are served."""
        self._call(self._reset())

    def hang_connections(self) -> None:
        """Let the connections that exist hang; new ones are served."""
        self._call(self._hang())

    def _call(self, steps: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(steps, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", self.port, backlog=512)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset()

    async def _end(self) -> None:
        await self._stop()
        handlers = asyncio.all_tasks() - {asyncio.current_task()}
        if handlers:
            await asyncio.wait(handlers, timeout=10)

    async def _inject(self, fault: Fault) -> None:
        self._fault = fault
        if fault in (Fault.REFUSED, Fault.RESET):
            await self._reset()
        if fault is Fault.REFUSED:
            await self._stop()
        elif self._server is None:
            await self._listen()

    async def _reset(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)

    async def _hang(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            if self._fault is Fault.RESET:
                raise ConnectionResetError
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            return _reset(writer)
        self._writers |= {writer, target_writer}
        try:
            await asyncio.gather(
                self._pump(reader, target_writer, (0, 0)), self._pump(target_reader, writer, self._delays)
            )
        finally:
            for end in (writer, target_writer):
                self._writers.discard(end)
                end.transport.abort()
        return None

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, delays: tuple[float, float]
    ) -> None:
        try:
            while chunk := await source.read(_CHUNK_BYTES):
                if self._fault is Fault.SLOW:
                    await asyncio.sleep(random.uniform(*delays))  # noqa: S311
                if self._fault is not Fault.BLACKHOLE:
                    sink.write(chunk)
                    await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_zero = struct.pack("ii", 1, 0)
    with contextlib.suppress(OSError):  # it may be closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    writer.transport.abort()
