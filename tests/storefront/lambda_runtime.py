"""A function as Lambda runs it: AWS's own runtime client, the packages of the bundle, and a Runtime API of the test's.

Source: "Using the Lambda runtime API for custom runtimes", Lambda Developer Guide.
"""

import json
import os
import platform
import queue
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from constructs_lib.compute.python_bundle import bundle
from stacks.function_code import LAMBDA_SRC

FUNCTION_ARN = "arn:aws:lambda:eu-west-1:111122223333:function:storefront"
# What Lambda's Python runtime brings besides the language: its client and the SDK, with what they need.
_OF_THE_RUNTIME = (
    *("awslambdaric", "runtime_client*.so", "simplejson", "snapshot_restore_py.py"),
    *("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3"),
)


@dataclass(frozen=True)
class Answer:
    """What the function's process told the Runtime API of an invocation: its result, or the error in place of it."""

    result: Any
    failed: bool


class LambdaRuntime:
    """One execution environment. Its process starts with the first event and ends with `close`."""

    def __init__(self, folder: Path, code: Path, handler: str, environment: Mapping[str, str]) -> None:
        """
        :param folder: an empty one, for what the environment has besides the code
        :param code: the bundle, see `bundle_for_here`
        :param handler: such as ``package.module.function``
        :param environment: of the function, besides what Lambda sets
        """
        runtime = folder / "runtime"
        _link_runtime(runtime)
        self._events: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._log = (folder / "log").open("w+")
        own = {
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "LAMBDA_TASK_ROOT": str(code),
            "PYTHONPATH": str(runtime),
        }
        # -S leaves the packages of this project's environment out.
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-m", "awslambdaric", handler],
            cwd=code,
            env={**environment, **own},
            stdout=self._log,
            stderr=self._log,
        )

    def invoke(self, event: Any, request_id: str = "00000000-0000-4000-8000-000000000001") -> Answer:
        """The function's answer to an event. AssertionError when its process says nothing for 30 s."""
        self._events.put((request_id, json.dumps(event).encode()))
        try:
            return self._answers.get(timeout=30)
        except queue.Empty:
            raise AssertionError(f"no answer; the log: {self.text()}") from None

    def text(self) -> str:
        """Everything that the process has written."""
        self._log.flush()
        return Path(self._log.name).read_text()

    def log(self) -> list[dict[str, Any]]:
        """Every line of it, each of which must be JSON."""
        return [json.loads(line) for line in self.text().splitlines()]

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()
        self._log.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        events, answers = self._events, self._answers

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """The next invocation; waits for one."""
                request_id, body = events.get()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(round(time.time() * 1000) + 60_000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN)
                self._body(body)

            def do_POST(self) -> None:
                """A result, or an error of the handler or of its import."""
                size = self.headers.get("Content-Length")
                body = self.rfile.read(int(size)) if size else _chunks(self.rfile)
                answers.put(Answer(json.loads(body), failed=self.path.endswith("/error")))
                self.send_response(202)
                self._body(b"{}")

            def _body(self, body: bytes) -> None:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Silence."""

        return Handler


def bundle_for_here(requirements: Path, folder: Path) -> Path:
    """The bundle with these requirements as a deployment makes it, for this machine's Python and processor."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    bundle(LAMBDA_SRC, requirements, f"{platform.machine()}-manylinux_2_28", version, folder)
    return folder


def _chunks(stream: Any) -> bytes:
    found = b""
    while size := int(stream.readline(), 16):
        found += stream.read(size)
        stream.readline()
    stream.readline()
    return found


def _link_runtime(folder: Path) -> None:
    folder.mkdir()
    packages = Path(sysconfig.get_paths()["platlib"])
    for pattern in _OF_THE_RUNTIME:
        (found,) = packages.glob(pattern)
        (folder / found.name).symlink_to(found)


def environment_of_a_function() -> dict[str, str]:
    """What the tests' deployment gave this process, without what belongs to the machine."""
    kept = ("AWS_", "DRAIN_", "ELASTICACHE_", "OPERATOR_", "RDS_", "SSL_")
    return {name: value for name, value in os.environ.items() if name.startswith(kept) or name == "PATH"}
