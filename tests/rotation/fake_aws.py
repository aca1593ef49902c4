"""Secrets Manager and ElastiCache on loopback: the real boto3 talks to them, and every call is held to the rules."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.rotation.fake_group import GROUP, FakeGroup
from tests.rotation.fake_secret import AwsError, FakeSecret

_XML = "http://elasticache.amazonaws.com/doc/2015-02-02/"


class FakeAws:
    """One secret and one replication group; what is `secret` and `group` may be exchanged between two calls.

    `broken` are the rules that calls have broken. `refused` names operations that answer AccessDenied, quoting in the
    message all that was sent.
    """

    def __init__(self) -> None:
        self.secret: FakeSecret
        self.group: FakeGroup
        self.broken: list[str] = []
        self.refused: set[str] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._answer))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, operation: str, request: dict[str, Any]) -> Any:
        with self._lock:
            if operation in self.refused:
                raise AwsError("AccessDeniedException", f"not with {request}")
            if operation == "ModifyReplicationGroup":
                return self._modify(request)
            if operation == "DescribeReplicationGroups":
                return _described(*self.group.look())
            answer = self.secret.answer(operation, request)
            if self.secret.value("AWSCURRENT") not in self.group.tokens:
                self.broken.append(f"the cache does not take AWSCURRENT after {operation}")
            return answer

    def _modify(self, request: dict[str, str]) -> str:
        token, strategy = request["AuthToken"], request["AuthTokenUpdateStrategy"]
        current = self.secret.value("AWSCURRENT")
        if request.get("ApplyImmediately") != "true":
            self.broken.append("a modification waits for the maintenance window")
        if strategy == "SET" and token != current:
            self.broken.append("SET was sent with a token that is not AWSCURRENT's")
        if strategy == "ROTATE" and current not in [*self.group.tokens, token][-2:]:
            self.broken.append("ROTATE removes AWSCURRENT's token")
        self.group.modify(request["ReplicationGroupId"], token, strategy)
        return "<ModifyReplicationGroupResult/>"


def _described(status: str, changes_token: bool) -> str:
    pending = "<AuthTokenStatus>ROTATING</AuthTokenStatus>" if changes_token else ""
    return (
        "<DescribeReplicationGroupsResult><ReplicationGroups><ReplicationGroup>"
        f"<ReplicationGroupId>{GROUP}</ReplicationGroupId><Status>{status}</Status>"
        f"<PendingModifiedValues>{pending}</PendingModifiedValues>"
        "</ReplicationGroup></ReplicationGroups></DescribeReplicationGroupsResult>"
    )


def _handler(answer: Callable[[str, dict[str, Any]], Any]) -> type[BaseHTTPRequestHandler]:
    """Both protocols: JSON 1.1 of Secrets Manager and the query protocol, with XML answers, of ElastiCache."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # boto3 keeps its connection
        # An answer is two packets, and the second would wait 40 ms for the acknowledgement of the first.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            target = self.headers.get("X-Amz-Target")
            request = json.loads(body) if target else dict(parse_qsl(body.decode()))
            operation = target.partition(".")[2] if target else request["Action"]
            try:
                self._send(200, _success(operation, answer(operation, request), as_json=bool(target)))
            except AwsError as error:
                self._send(400, _failure(*error.args, as_json=bool(target)))

        def _send(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    return Handler


def _success(operation: str, answer: Any, *, as_json: bool) -> str:
    return json.dumps(answer) if as_json else f'<{operation}Response xmlns="{_XML}">{answer}</{operation}Response>'


def _failure(code: str, message: str = "", *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"__type": code, "message": message})
    return (
        f'<ErrorResponse xmlns="{_XML}"><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>'
    )
