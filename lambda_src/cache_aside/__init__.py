"""Cache-aside over Redis or Valkey: get a value through the cache, and delete it when the database changed.

    cache = CacheAside.connect("localhost", 6379)
    product = cache.get_or_load("product:42", load_product, policy=PRODUCT).value
    cache.invalidate("product:42")                # after the commit

A cache that cannot be reached never fails a caller: values then come from `load`, and `invalidate` says that it is
pending.
"""

from cache_aside.cache import CacheAside
from cache_aside.client import CacheUnavailableError, Client, CommandRefusedError
from cache_aside.policy import Policy
from cache_aside.results import Invalidation, Result, Served

__all__ = [
    "CacheAside",
    "CacheUnavailableError",
    "Client",
    "CommandRefusedError",
    "Invalidation",
    "Policy",
    "Result",
    "Served",
]
