"""Which web framework costs a cache hit the least? Import time and latency, side by side in one run: `make bench-web`.

The candidates answer the same request (web_framework_candidates/) in two places: under Lambda, a load balancer event
through the framework's adapter, in process; and over HTTP on one kept-alive loopback connection to one worker of the
production server. Rounds are interleaved, so that a busy machine slows every candidate alike: compare ratios, not
microseconds.
"""

import contextlib
import http.client
import importlib
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CANDIDATES = Path(__file__).parent / "web_framework_candidates"
GUNICORN = ["gunicorn", "--worker-class=gthread", "--threads=8", "--keep-alive=30", "--log-level=error"]
UVICORN = ["uvicorn", "--no-access-log", "--log-level=error"]
SERVERS = {
    "falcon": [*GUNICORN, "falcon_app:app"],
    "flask": [*GUNICORN, "flask_app:app"],
    "starlette": [*UVICORN, "starlette_app:app"],
    "starlette_threads": [*UVICORN, "starlette_threads_app:app"],
}
EVENT = {
    "requestContext": {
        "elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/t/1"}
    },
    "httpMethod": "GET",
    "path": "/products/42",
    "queryStringParameters": {},
    "headers": {
        "host": "example.com",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
        "x-forwarded-for": "::1",
    },
    "body": "",
    "isBase64Encoded": False,
}
ROUNDS, REQUESTS, IMPORTS = 15, 200, 11


def import_milliseconds(name: str) -> float:
    """Wall time of importing the candidate in a fresh interpreter with warm bytecode."""
    code = f"import time; t = time.perf_counter(); import {name}_app; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CANDIDATES, capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e3


def microseconds_each(request: Callable[[], None]) -> float:
    """Mean time of one request over one round."""
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        request()
    return (time.perf_counter() - begin) / REQUESTS * 1e6


def lambda_request(name: str) -> Callable[[], None]:
    """A request through the Lambda adapter."""
    handler = importlib.import_module(f"{name}_app").handler

    def request() -> None:
        assert handler(EVENT, None)["statusCode"] == 200

    return request


def wait_for_listener(port: int) -> None:
    """Returns once the port accepts connections; ConnectionRefusedError after 10 s."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def http_request(name: str) -> Iterator[Callable[[], None]]:
    """A request over one kept-alive connection to the candidate's own server process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    module, *arguments = SERVERS[name]
    bind = ["--port", str(port)] if module == "uvicorn" else ["--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen([sys.executable, "-m", module, *bind, *arguments], cwd=CANDIDATES)
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def request() -> None:
        connection.request("GET", "/products/42")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200

    try:
        wait_for_listener(port)
        yield request
    finally:
        connection.close()
        server.terminate()
        server.wait()


def report(title: str, unit: str, measure: Callable[[str], float], rounds: int) -> None:
    """Measures every candidate in interleaved rounds; prints medians and their ratios to the first."""
    values: dict[str, list[float]] = {name: [] for name in SERVERS}
    for _ in range(rounds):
        for name in SERVERS:
            values[name].append(measure(name))
    medians = {name: statistics.median(samples) for name, samples in values.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for name, median in medians.items():
        print(f"  {name:18} {median:8.1f} {unit}   {median / first:5.2f}")


def main() -> None:
    sys.path.insert(0, str(CANDIDATES))
    print(f"Python {platform.python_version()} on {platform.machine()}")
    report("import, fresh interpreter", "ms", import_milliseconds, IMPORTS)
    events = {name: lambda_request(name) for name in SERVERS}
    report("load balancer event under Lambda", "us", lambda name: microseconds_each(events[name]), ROUNDS)
    with contextlib.ExitStack() as servers:
        requests = {name: servers.enter_context(http_request(name)) for name in SERVERS}
        report("HTTP, one worker", "us", lambda name: microseconds_each(requests[name]), ROUNDS)


if __name__ == "__main__":
    main()
