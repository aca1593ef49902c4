"""A MariaDB server, which speaks MySQL's protocol."""

import os
import shutil
import subprocess
from pathlib import Path

import pymysql
from pymysql.converters import escape_string

from local.engines.sql import SqlServer
from local.engines.unprivileged import EngineError, check_access
from local.private_files import write_private
from local.processes import spawn

# Debian keeps servers where the PATH of an ordinary user does not look.
_SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


class MariaDB(SqlServer):
    """One MariaDB server with TLS of its own.

    The program comes from the operating system: EngineError says how when it is missing.
    """

    name = "mariadb"
    default_master = "root"
    not_ready = pymysql.Error

    def _spawn(self) -> subprocess.Popen[bytes]:
        program = mariadb_program("mariadbd")
        user = self._prepare(program)
        settings = {
            "datadir": self._data,
            "init-file": self.directory / "init.sql",
            "bind-address": "127.0.0.1",
            "port": self.port,
            "socket": "mariadb.sock",  # in datadir; a whole path may be longer than a socket's may be
            "pid-file": self.directory / "mariadb.pid",
            "skip-name-resolve": "ON",
            "require-secure-transport": "ON",
            "ssl-cert": self.directory / "server.pem",
            "ssl-key": self.directory / "server.key",
            "ssl-ca": self.directory / "ca.pem",
            "innodb-autoinc-lock-mode": 2,  # as MySQL 8
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return spawn([program, "--no-defaults", *options], log_file=self.log_file, user=user, cwd=self.directory)

    def _write_secrets(self) -> None:
        """Files, and not options on the command line, which every user of the machine could read.

        The server executes `init.sql` at every start, one statement a line, before it listens.
        """
        name, password, database = map(escape_string, (self.master_username, self.master_password, self.database))
        master = f"'{name}'@'%' IDENTIFIED BY '{password}'"
        statements = [
            f"CREATE USER IF NOT EXISTS {master}",
            f"ALTER USER {master}",
            f"GRANT ALL ON *.* TO '{name}'@'%' WITH GRANT OPTION",
            f"CREATE DATABASE IF NOT EXISTS `{database}`",
        ]
        files = {"init.sql": "".join(f"{statement};\n" for statement in statements).encode()}
        for source in (self.certificates.cert_file, self.certificates.key_file, self.certificates.ca_file):
            files[source.name] = source.read_bytes()
        for file_name, content in files.items():
            write_private(self.directory / file_name, content)

    def _initialize(self, data: Path, user: str | None) -> None:
        command: list[str | Path] = [mariadb_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}"]
        # Nobody but `user`, on this machine's socket, is root; without this root would have no password.
        command += ["--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve"]
        command += [f"--auth-root-socket-user={user}"] if user else []
        if spawn(command, log_file=self.log_file, user=user, cwd=self.directory).wait() != 0:
            raise EngineError(f"mariadb-install-db failed: {self._last_words()}")

    def ping(self) -> None:
        """Logs in as the master user through verified TLS."""
        pymysql.connect(
            host="localhost",
            port=self.port,
            user=self.master_username,
            password=self.master_password.encode(),  # a str would be sent as Latin-1
            ssl_ca=str(self.certificates.ca_file),
            ssl_verify_cert=True,
            ssl_verify_identity=True,
            connect_timeout=5,
            read_timeout=5,
        ).close()


def mariadb_program(name: str) -> Path:
    """Where the program is. EngineError with the command that installs it."""
    found = shutil.which(name, path=_SEARCHED)
    if found is None:
        raise EngineError(
            f"MariaDB is missing (no {name} in {_SEARCHED}): it stands in for MySQL. On Debian and Ubuntu: "
            "apt-get install mariadb-server-core mariadb-client-core; on macOS: brew install mariadb"
        )
    return Path(found)


def check_mariadb(directory: Path) -> None:
    """EngineError when MariaDB is not installed or cannot run in `directory`."""
    check_access(directory, mariadb_program("mariadbd"), mariadb_program("mariadb-install-db"))
