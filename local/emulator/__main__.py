"""The emulator's process: `python -m local.emulator`, started by `local.emulator.process.Emulator`."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from local.emulator import network, secrets, serving
from local.emulator.engines import EngineHandlers
from local.emulator.ministack import app as ministack
from local.emulator.ministack import persistence
from local.emulator.process import SAVE_PATH
from local.tls import ensure_certificates


async def _serve_with_saving(scope: Any, receive: Callable[..., Any], send: Callable[..., Awaitable[None]]) -> None:
    """The emulator, and one path more: stock ministack saves only when it ends in order."""
    if scope.get("path") != SAVE_PATH:
        await ministack.app(scope, receive, send)
        return
    persistence.save_all(ministack._build_persistence_save_dict())
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Registers the handlers and serves on loopback until asked to end."""
    os.umask(0o077)  # the state that it writes holds every secret of the deployment
    for module in (network, secrets, serving):
        module.register()
    certificates = ensure_certificates(Path(os.environ["LOCAL_CERTIFICATES"]))
    EngineHandlers(Path(os.environ["LOCAL_ENGINES"]), certificates).register()
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['GATEWAY_PORT']}"]
    asyncio.run(serve(_serve_with_saving, config))


main()
