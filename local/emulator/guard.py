"""Who may talk to the emulator: the processes of this run, and no web page, no other user and no stray program.

The emulator executes code and holds every secret of the deployment, and loopback is no boundary: every page in a
browser and every user of the machine reaches it. docs/decisions/loopback-is-not-a-boundary.md says why it is done so.
"""

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

# Every AWS SDK sends AWS_SESSION_TOKEN in this header, and a presigned URL carries it as a parameter of this name.
CREDENTIAL = "X-Amz-Security-Token"
_CREDENTIAL_HEADER = CREDENTIAL.lower().encode()
_CORS = b"access-control-"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Collection[tuple[bytes, bytes]]


class Guard:
    """An ASGI application in front of `application`, which gets only the requests that carry `credential`.

    They must be addressed to loopback's `port` by name or number, or to a host name that `is_load_balancer` knows.
    Everything else gets 403 with one line that says why. Answers lose every Access-Control-* header.
    """

    def __init__(
        self, application: Application, *, credential: str, port: int, is_load_balancer: Callable[[str], bool]
    ) -> None:
        self._application = application
        self._credential = credential.encode()
        self._hosts = (f"localhost:{port}", f"127.0.0.1:{port}")
        self._is_load_balancer = is_load_balancer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # the server answers 403; nothing here needs one
        elif complaint := self._complaint(scope):
            await _refuse(send, complaint)
        else:
            # The services behind it, deployed functions among them, have no use for the credential.
            kept = [(name, value) for name, value in scope["headers"] if name != _CREDENTIAL_HEADER]
            await self._application({**scope, "headers": kept}, receive, _without_cors(send))

    def _complaint(self, scope: Scope) -> str:
        """Why the request is refused; empty when it is not."""
        hosts = _values(scope["headers"], b"host")
        if len(hosts) != 1 or not (hosts[0] in self._hosts or self._is_load_balancer(hosts[0])):
            return f"Host: {', '.join(hosts)} is not this emulator, which is {' or '.join(self._hosts)}"
        for header in (b"origin", b"sec-fetch-site"):  # a browser sends them, an SDK does not
            if given := _values(scope["headers"], header):
                return f"{header.decode().title()}: {', '.join(given)}: this emulator answers no web page"
        parameters = parse_qsl(scope["query_string"].decode("latin-1"))
        given = _values(scope["headers"], _CREDENTIAL_HEADER)
        given += [value for name, value in parameters if name.lower() == CREDENTIAL.lower()]
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("latin-1", "replace"), self._credential):
            return f"{CREDENTIAL} is not the session token of this run of `make up`"
        return ""


def _values(headers: Headers, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name == wanted]


async def _refuse(send: Send, complaint: str) -> None:
    line = f"{complaint}\n".encode("latin-1", "replace")
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(line)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": line})


def _without_cors(send: Send) -> Send:
    async def send_without(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message["headers"] if not name.lower().startswith(_CORS)]
            message = {**message, "headers": headers}
        await send(message)

    return send_without
