"""Cache-aside in front of a database that cannot keep a stale value.

cache = CacheAside.connect("primary.example.cache.amazonaws.com", auth_token=read_secret)
PRODUCT = Policy(name="product", value_type=Product, ttl_seconds=300)

product = cache.get_or_load("product:42", lambda: select_product(42), policy=PRODUCT).value
...commit the change, then:
if cache.invalidate("product:42").pending:
    ...a Relay deletes it later
"""

from cache_aside.aio import AsyncCacheAside
from cache_aside.client import CacheAside
from cache_aside.cloudwatch import EmbeddedMetrics
from cache_aside.credentials import Credentials
from cache_aside.dialects import Dialect
from cache_aside.errors import (
    CacheUnavailableError,
    LoadTimeoutError,
    LoadUnavailableError,
    PolicyError,
    TooManyLoadsError,
)
from cache_aside.observe import Event, Observer
from cache_aside.outbox import SqlOutbox, Write, transactions
from cache_aside.policy import Options, Policy
from cache_aside.relay import Outbox, OutboxRow, Relay, RelayReport
from cache_aside.results import Invalidation, Replicas, Result, Served

__all__ = [
    "AsyncCacheAside",
    "CacheAside",
    "CacheUnavailableError",
    "Credentials",
    "Dialect",
    "EmbeddedMetrics",
    "Event",
    "Invalidation",
    "LoadTimeoutError",
    "LoadUnavailableError",
    "Observer",
    "Options",
    "Outbox",
    "OutboxRow",
    "Policy",
    "PolicyError",
    "Relay",
    "RelayReport",
    "Replicas",
    "Result",
    "Served",
    "SqlOutbox",
    "TooManyLoadsError",
    "Write",
    "transactions",
]
