"""Real engines on loopback: Valkey and PostgreSQL from pip, each behind a TLS front, as clients meet them in AWS.

An engine belongs to the thread that starts it: on Linux it ends when that thread does.
"""

from local.engines.base import EngineError
from local.engines.postgres import Postgres, check_access
from local.engines.valkey import Valkey

__all__ = ["EngineError", "Postgres", "Valkey", "check_access"]
