"""Real engines on loopback, over TLS as clients meet them in AWS: Valkey and PostgreSQL from pip, and MariaDB.

An engine belongs to the thread that starts it: on Linux it ends when that thread does.
"""

from local.engines.base import Engine
from local.engines.mariadb import MariaDB
from local.engines.postgres import Postgres
from local.engines.unprivileged import EngineError
from local.engines.valkey import Valkey

__all__ = ["Engine", "EngineError", "MariaDB", "Postgres", "Valkey"]
