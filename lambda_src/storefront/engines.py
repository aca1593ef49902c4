"""The SQL engines that the app runs on, and what differs between them before a connection is there."""

from collections.abc import Mapping
from typing import Literal, cast, get_args

Engine = Literal["postgres", "mysql"]

DEFAULT_PORTS: Mapping[Engine, int] = {"postgres": 5432, "mysql": 3306}


def engine_of(environment: Mapping[str, str]) -> Engine:
    """What the variable RDS_ENGINE says, default postgres. ValueError names what is allowed."""
    given = environment.get("RDS_ENGINE") or "postgres"
    if given not in get_args(Engine):
        raise ValueError(f"RDS_ENGINE: expected {' or '.join(get_args(Engine))}, got {given!r}")
    return cast("Engine", given)
