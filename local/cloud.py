"""An AWS account on this machine: the emulator, the engines that it asks for, and the CDK CLI that deploys to it."""

import platform
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from local.cdk_cli import CdkCli
from local.emulator.process import ACCOUNT, REGION, Emulator
from local.engines.unprivileged import make_passable
from local.packaged import path_with_node
from local.private_files import write_private
from local.run_directory import RunDirectory
from local.supervision import EngineSupervisor
from local.tls import ensure_certificates

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class LocalCloud:
    """Everything that a deployment needs, with all of its state in `directory`. `say` gets one line an event.

    A run may be killed at any moment. The next one then finds the last deployment that was saved, or starts with an
    empty account: the emulator keeps some services on disk at once, and a part of a deployment is worth nothing.
    """

    def __init__(self, directory: Path, *, say: Callable[[str], None]) -> None:
        self.directory = directory
        self.run = RunDirectory(directory / "run")
        self._say = say
        self._engine_requests = directory / "engines"
        make_passable(self._engine_requests)
        self._saved = directory / "deployed"
        certificates = ensure_certificates(directory / "tls")
        self.emulator = Emulator(
            directory / "emulator",
            engines=self._engine_requests,
            certificates=certificates,
            rds_password=_kept_password(directory / "rds-password"),
        )
        self.engines = EngineSupervisor(self._engine_requests, certificates=certificates, say=say)

    def start(self) -> None:
        """Starts the emulator and every engine of the deployment that was saved last."""
        if not self._saved.exists():
            if self.emulator.directory.exists():
                self._say("an earlier run left a half-finished deployment: starting over")
            self._forget()
        self.emulator.start()
        self.reconcile()

    def saved(self) -> str | None:
        """What `save` was told about the deployment that this started with; None when there was none."""
        return self._saved.read_text() if self._saved.exists() else None

    def save(self, description: str) -> None:
        """Keeps the deployment as it is now for later runs."""
        self._saved.unlink(missing_ok=True)
        self.emulator.save()
        self._saved.write_text(description)

    def reconcile(self) -> None:
        """Starts again what has ended, and keeps the pid files right."""
        if not self.emulator.running():
            self._say("the emulator ended; starting it again")
            self.emulator.start()
        self.engines.reconcile()
        self.run.write([("emulator", self.emulator.pid), *self.engines.processes()])

    def stop(self) -> None:
        """Stops everything. What the emulator did since its last save is forgotten."""
        self.emulator.stop()
        self.engines.stop()

    def start_over(self) -> None:
        """Forgets every deployment with all of its data, and starts with an empty account."""
        self.stop()
        self._forget()
        self.start()

    def _forget(self) -> None:
        self._saved.unlink(missing_ok=True)
        shutil.rmtree(self.emulator.directory, ignore_errors=True)
        for request in self._engine_requests.glob("*.json"):
            request.unlink()

    def cdk(self, context: dict[str, str], *, app: str | None = None) -> CdkCli:
        """The CDK CLI for this account, bundling for this machine and its Python. `context` as for `cdk -c`."""
        for_this_machine = {
            "account": ACCOUNT,
            "region": REGION,
            "app.architecture": _ARCHITECTURES[platform.machine().lower()],
            "app.python": f"{sys.version_info.major}.{sys.version_info.minor}",
        }
        return CdkCli(
            environment={**self.emulator.client_environment(), "PATH": path_with_node()},
            context={**for_this_machine, **context},
            output=self.directory / "cdk.out",
            log_file=self.directory / "logs" / "cdk.log",
            while_waiting=self.reconcile,
            say=self._say,
            app=app,
        )


def _kept_password(path: Path) -> str:
    """The password in the file, made up and written on the first call."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24).encode())
    return path.read_text()
