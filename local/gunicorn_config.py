"""gunicorn's settings for `make up`: the same WSGI app that Lambda runs, under a production server."""

import os
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import gunicorn.http.wsgi  # type: ignore[import-untyped]
import gunicorn.util  # type: ignore[import-untyped]

# As the load balancer in AWS is told, too: what serves is nobody's business.
gunicorn.http.wsgi.SERVER = "storefront"


def _write_problem(client: Any, status: int, _reason: str, message: str) -> None:
    """Answers a request that never reached the app, as the app answers: gunicorn itself would write HTML."""
    from storefront.http.codec import encode
    from storefront.http.headers import USUAL
    from storefront.http.problems import MEDIA_TYPE, problem

    known = HTTPStatus(status)
    body = encode(problem(known, message))
    own = {"Connection": "close", "Content-Type": MEDIA_TYPE, "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {status} {known.phrase}", *(f"{name}: {value}" for name, value in (own | USUAL).items())]
    gunicorn.util.write_nonblock(client, "\r\n".join([*lines, "", ""]).encode() + body)


gunicorn.util.write_error = _write_problem

_RUN = Path(os.environ["LOCAL_RUN"])
_RELAY_PERIOD_SECONDS = 1
# What the app tells a client whose logout the relay has to finish.
raw_env = [f"RELAY_PERIOD_SECONDS={_RELAY_PERIOD_SECONDS}"]

wsgi_app = "storefront.wsgi:app"
bind = [f"fd://{os.environ['LOCAL_SOCKET']}"]
workers = int(os.environ["WORKERS"])
worker_class = "local.patient_worker.PatientWorker"
threads = 8
graceful_timeout = 5
control_socket_disable = True
# Nothing stands in front of it: it believes no client's X-Forwarded-Proto, SCRIPT_NAME or PATH_INFO.
forwarded_allow_ips = ""
forwarder_headers = ""


def pre_fork(server: Any, worker: Any) -> None:
    """Gives the worker the lowest free number, so that a restarted one inherits its predecessor's name."""
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = next(number for number in range(1, workers + 1) if number not in taken)


def post_fork(_server: Any, worker: Any) -> None:
    """Names the process for whoever looks."""
    (_RUN / f"worker-{worker.number}.pid").write_text(f"{worker.pid}\n")


def pre_request(_worker: Any, request: Any) -> None:
    """Makes the answer say `Connection: close` where the rest of the body may be too long to read.

    gunicorn reads a rest of 64 KiB, and closes the connection after more although it has promised to keep it: the
    client's next request would be lost. The app cannot say so itself: a WSGI server drops hop-by-hop headers.
    """
    from storefront.http.requests import MAX_BYTES

    headers = dict(request.headers)
    if "TRANSFER-ENCODING" in headers or int(headers.get("CONTENT-LENGTH", 0)) > MAX_BYTES:
        request.force_close()


def post_worker_init(worker: Any) -> None:
    """Runs the invalidation relay in one worker: its successor has the same number, so that there always is one."""
    if worker.number != 1:
        return
    from storefront.bootstrap import build_relay
    from storefront.settings import Settings

    relay = build_relay(Settings.from_environment(os.environ))
    options = {"period_seconds": _RELAY_PERIOD_SECONDS}
    threading.Thread(
        target=relay.run_until, args=[threading.Event()], kwargs=options, name="invalidation-relay", daemon=True
    ).start()
