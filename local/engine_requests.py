"""What the emulator asks of the supervisor: one file for each engine that should run.

The emulator creates and deletes the files as CloudFormation creates and deletes the resources; the supervisor, in
another process, makes it so. The files outlive both, so the engines come back on the same ports after a restart.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

from local.engines import Engine, MariaDB, Postgres, Valkey
from local.private_files import write_private
from local.tls import Certificates


@dataclass(frozen=True)
class EngineRequest:
    """One engine that should run. `incarnation` tells a replaced resource from its predecessor of the same name."""

    resource_id: str
    incarnation: str
    kind: Literal["valkey", "postgres", "mariadb"]
    port: int
    password: str
    username: str = ""
    database: str = ""

    @property
    def name(self) -> str:
        """Unique among all requests that ever were; names the engine's directory."""
        return f"{self.resource_id}.{self.incarnation}"

    def engine(self, directory: Path, certificates: Certificates) -> Engine:
        """The engine that this asks for, not started, in its own directory below `directory`."""
        home = directory / self.name
        if self.kind == "valkey":
            return Valkey(home, auth_token=self.password, certificates=certificates, port=self.port)
        database = Postgres if self.kind == "postgres" else MariaDB
        return database(
            home,
            master_username=self.username,
            master_password=self.password,
            database=self.database,
            certificates=certificates,
            port=self.port,
        )

    def write(self, directory: Path) -> None:
        """Asks for the engine, in place of an earlier request for the same resource. Readable by the owner only."""
        directory.mkdir(parents=True, exist_ok=True)
        write_private(_path(directory, self.resource_id), json.dumps(asdict(self)).encode())

    @classmethod
    def find(cls, directory: Path, resource_id: str) -> Self | None:
        """The request for the resource, if there is one."""
        path = _path(directory, resource_id)
        return cls(**json.loads(path.read_text())) if path.exists() else None

    @classmethod
    def find_all(cls, directory: Path) -> list[Self]:
        """Every request in `directory`."""
        return [cls(**json.loads(path.read_text())) for path in sorted(directory.glob("*.json"))]


def withdraw(directory: Path, resource_id: str) -> None:
    """Asks no longer for the resource's engine: it is stopped and its data removed."""
    _path(directory, resource_id).unlink(missing_ok=True)


def _path(directory: Path, resource_id: str) -> Path:
    return directory / f"{resource_id}.json"
