"""What the SQL engines share: a master user, a database, and data that outlive the process."""

import shutil
from abc import abstractmethod
from pathlib import Path

from local.engines.base import Engine
from local.engines.unprivileged import check_access, hand_over, unprivileged_user
from local.tls import Certificates


class SqlServer(Engine):
    """A server with `database` in it, whose data persist in `directory`.

    Run by root it runs as `nobody`, who then owns `directory` and must be able to enter every directory above it.
    """

    default_master: str

    def __init__(
        self,
        directory: Path,
        *,
        master_username: str | None = None,
        master_password: str,
        database: str,
        certificates: Certificates,
        port: int | None = None,
    ) -> None:
        super().__init__(directory, certificates=certificates, port=port)
        self.master_username = master_username or self.default_master
        self.master_password = master_password
        self.database = database

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _prepare(self, program: Path) -> str | None:
        """Makes `directory` ready for the program; returns the user who runs it. EngineError."""
        user = unprivileged_user()
        check_access(self.directory, program)
        self._write_secrets()
        if user:
            hand_over(self.directory, user)
        if not self._data.exists():
            unfinished = self.directory / "data.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            self._initialize(unfinished, user)
            unfinished.rename(self._data)
        return user

    def _write_secrets(self) -> None:
        """Writes the files that the server reads at every start. None, unless an engine says otherwise."""

    @abstractmethod
    def _initialize(self, data: Path, user: str | None) -> None:
        """Makes the files of a new server in `data`, as the user. EngineError."""
