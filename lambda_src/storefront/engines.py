"""The SQL engines that the app runs on, and what differs between them before a connection is there."""

from collections.abc import Mapping
from typing import Literal, Protocol, cast, get_args

from storefront.database import Connection
from storefront.endpoints import Endpoint

Engine = Literal["postgres", "mysql"]

DEFAULT_PORTS: Mapping[Engine, int] = {"postgres": 5432, "mysql": 3306}


def engine_of(environment: Mapping[str, str]) -> Engine:
    """What the variable RDS_ENGINE says, default postgres. ValueError names what is allowed."""
    given = environment.get("RDS_ENGINE") or "postgres"
    if given not in get_args(Engine):
        raise ValueError(f"RDS_ENGINE: expected {' or '.join(get_args(Engine))}, got {given!r}")
    return cast("Engine", given)


class Driver(Protocol):
    """The modules `postgres` and `mysql`."""

    def connect(
        self, endpoint: Endpoint, *, database: str, user: str, password: str, statement_timeout_seconds: int = 2
    ) -> Connection:
        """A new connection. LoginRefusedError, DatabaseUnavailableError."""


def driver_of(engine: Engine) -> Driver:
    """What connects to the engine."""
    # Imported here, so that a cold start pays for one driver only.
    if engine == "mysql":
        from storefront import mysql

        return mysql
    from storefront import postgres

    return postgres
