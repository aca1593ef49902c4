"""The emulator's process: `python -m local.emulator`, started by `local.emulator.process.Emulator`."""

import asyncio
import os
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

from local.emulator import network, protection, refusals, secrets, serving
from local.emulator.engines import EngineHandlers
from local.emulator.guard import CREDENTIAL, Guard, Receive, Scope, Send
from local.emulator.ministack import alb, custom_resource, persistence, sts
from local.emulator.ministack import app as ministack
from local.emulator.process import SAVE_PATH
from local.tls import ensure_certificates


async def _serve_with_saving(scope: Scope, receive: Receive, send: Send) -> None:
    """The emulator, and one path more: stock ministack saves only when it ends in order."""
    if scope.get("path") != SAVE_PATH:
        await ministack.app(scope, receive, send)
        return
    persistence.save_all(ministack._build_persistence_save_dict())
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _guarded(credential: str) -> Guard:
    """The emulator for those who send the credential, which whoever it gives credentials to gets as well."""
    sts._gen_session_token = lambda: credential  # the CDK CLI assumes a role for every step
    address = custom_resource._response_url
    custom_resource._response_url = lambda token: f"{address(token)}?{CREDENTIAL}={credential}"
    port = int(os.environ["GATEWAY_PORT"])
    return Guard(_serve_with_saving, credential=credential, port=port, is_load_balancer=alb.find_lb_for_host)


def main() -> None:
    """Registers the handlers and serves on the socket that it inherits until asked to end."""
    for module in (network, protection, secrets, serving):
        module.register()
    certificates = ensure_certificates(Path(os.environ["LOCAL_CERTIFICATES"]))
    EngineHandlers(Path(os.environ["LOCAL_ENGINES"]), certificates).register()
    refusals.register(Path(os.environ["LOCAL_EMULATOR"]))
    config = Config()
    config.bind = [f"fd://{os.environ['LOCAL_SOCKET']}"]
    guarded: Any = _guarded(os.environ["AWS_SESSION_TOKEN"])  # hypercorn's types know ASGI by its own names only
    asyncio.run(serve(guarded, config))


main()
