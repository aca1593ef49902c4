"""Tells the cache what the migration changed, so that the next request after the deployment sees it."""

import logging
from collections.abc import Sequence

from cache_aside import CacheAside, Options, OutboxRow
from functions.schema_migration.settings import Settings
from storefront.cache_login import cache_credentials

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

# A deployment has time: more than a failover of the cache that is nearly over.
_PATIENT = Options(connect_timeout_seconds=2, read_timeout_seconds=2, invalidation_seconds=5)


def delete_from_cache(settings: Settings, rows: Sequence[OutboxRow]) -> bool:
    """Whether the cache has confirmed that it forgot the keys of these rows. If not, the relay sees to it.

    Never raises: what is committed is in force, and a deployment that failed now would take it back nowhere.
    """
    keys = [row.key for row in rows]
    cache = CacheAside.connect(
        settings.cache.host,
        settings.cache.port,
        auth_token=cache_credentials(settings.cache_login, settings.region),
        options=_PATIENT,
    )
    try:
        outcome = cache.invalidate(*keys)
    finally:
        cache.close()
    if outcome.pending:
        logger.warning("changed: %s; the cache is told by the relay, as now: %s", ", ".join(keys), outcome.reason)
    else:
        logger.info("changed: %s; the cache has forgotten it", ", ".join(keys))
    return outcome.confirmed
