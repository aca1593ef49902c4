"""Starts the emulator and tells clients how to reach it."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import httpx

from local.emulator.guard import CREDENTIAL
from local.errors import LocalError
from local.packaged import path_with_node
from local.processes import inherited_environment, spawn, stop
from local.tls import Certificates

ACCOUNT, REGION = "000000000000", "us-east-1"
SAVE_PATH = "/_local/save"
_SECRET = "any"  # noqa: S105 - signatures are not checked: the session token, which no one else knows, is
_PROJECT = Path(__file__).parents[2]
_START_TIMEOUT_SECONDS = 30.0


class Emulator:
    """A CloudFormation emulator on loopback. What it knew at its last `save` persists in `directory`.

    It never saves by itself, so an interrupted deployment leaves the last finished one on disk and not half of its own.

    `engines` is where it leaves its requests for engines. `rds_password` is what the deployed functions use in the
    place of an IAM token. Deployed functions inherit the emulator's environment.

    It answers those only who send `credential_headers`, which are of this object alone. Its port is taken once and for
    all, so that nobody else can listen there while it is down.
    """

    def __init__(self, directory: Path, *, engines: Path, certificates: Certificates, rds_password: str) -> None:
        self.directory = directory
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.credential_headers = {CREDENTIAL: secrets.token_urlsafe(32)}
        self._engines = engines
        self._certificates = certificates
        self._rds_password = rds_password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """Where its output and that of the deployed functions go."""
        return self.directory / "emulator.log"

    @property
    def pid(self) -> int:
        """The process id. LocalError before the start."""
        if self._process is None:
            raise LocalError("the emulator was not started")
        return self._process.pid

    def session(self) -> boto3.Session:
        """A session of the account, whose clients also need `endpoint_url=self.url`."""
        return boto3.Session(
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=_SECRET,
            aws_session_token=self.credential_headers[CREDENTIAL],
            region_name=REGION,
        )

    def client_environment(self) -> dict[str, str]:
        """The environment of your shell, for the CDK CLI, with the emulator in the place of AWS."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {**inherited, **self.client_settings()}

    def client_settings(self) -> dict[str, str]:
        """What AWS clients need to talk to the emulator and to nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_SESSION_TOKEN": self.credential_headers[CREDENTIAL],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "localhost,127.0.0.1",
            "no_proxy": "localhost,127.0.0.1",
        }

    def app_environment(self) -> dict[str, str]:
        """What the app needs besides its function's own variables to run on this machine."""
        return {
            "RDS_PASSWORD": self._rds_password,
            "SSL_CERT_FILE": str(self._certificates.ca_file),
            "RDS_CA_FILE": str(self._certificates.ca_file),
        }

    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and blocks until it answers (30 s at most, then LocalError)."""
        scratch = self.directory / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        command = [sys.executable, "-m", "local.emulator"]
        self._process = spawn(
            command,
            log_file=self.log_file,
            env=self._environment(scratch),
            cwd=_PROJECT,
            death_signal=signal.SIGKILL,
            pass_fds=[self._listener.fileno()],
        )
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._answers():
            if not self.running() or time.monotonic() > deadline:
                raise LocalError(f"the CloudFormation emulator did not start, see {self.log_file}")
            time.sleep(0.1)

    def save(self) -> None:
        """Writes its state to disk, for the next start."""
        url, headers = self.url + SAVE_PATH, self.credential_headers
        httpx.post(url, headers=headers, timeout=30, trust_env=False).raise_for_status()

    def stop(self) -> None:
        """Ends it with the functions that it runs."""
        if self._process:
            stop(self._process, how=signal.SIGKILL)

    def _answers(self) -> bool:
        url, headers = f"{self.url}/_ministack/health", self.credential_headers
        try:
            return httpx.get(url, headers=headers, timeout=1, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _environment(self, scratch: Path) -> dict[str, str]:
        return {
            **inherited_environment(),
            **self.client_settings(),
            **self.app_environment(),
            "PATH": path_with_node(),
            "NODE_PATH": str(_PROJECT / "node_modules"),
            "LOCAL_EMULATOR": str(self.directory),
            "LOCAL_ENGINES": str(self._engines),
            "LOCAL_CERTIFICATES": str(self._certificates.ca_file.parent),
            "LOCAL_SOCKET": str(self._listener.fileno()),
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "LAMBDA_EXECUTOR": "local",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.directory / "s3"),
            "TMPDIR": str(scratch),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
