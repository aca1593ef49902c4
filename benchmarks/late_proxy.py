"""A proxy in a process of its own that is late with some replies of a server."""

import asyncio
import multiprocessing
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

_CHUNK_BYTES = 65536


@contextmanager
def late(target_port: int, seconds: float, share: float) -> Iterator[int]:
    """The port of a proxy that holds back this share of the server's chunks for so long."""
    forked = multiprocessing.get_context("fork")
    ours, its = forked.Pipe()
    process = forked.Process(target=lambda: asyncio.run(_serve(its, target_port, seconds, share)), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


async def _serve(told: "Connection[int, None]", target_port: int, seconds: float, share: float) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target_port)
        await asyncio.gather(_pump(reader, target_writer, 0, 0), _pump(target_reader, writer, seconds, share))

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=512)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float, share: float) -> None:
    with suppress(OSError):
        while chunk := await source.read(_CHUNK_BYTES):
            if random.random() < share:  # noqa: S311
                await asyncio.sleep(seconds)
            sink.write(chunk)
    sink.close()
