"""The Lambda function that EventBridge calls every minute. Its bundle and its environment are the app's."""

import logging
import os

import msgspec

from cache_aside import EmbeddedMetrics
from storefront.bootstrap import build_relay
from storefront.settings import Settings

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

_settings = Settings.from_environment(os.environ)
_metrics = EmbeddedMetrics(_settings.metric_namespace)
_relay = build_relay(_settings, observer=_metrics)


def handler(_event: object, _context: object) -> dict[str, int | bool]:
    """One run, whose report it logs where there was something to do, and returns.

    A cache out of reach is no error here: the next run tries again. A database out of reach is one.
    """
    report = _relay.run_once()
    outcome: dict[str, int | bool] = msgspec.structs.asdict(report)
    if not report.reachable:
        logger.warning("the cache is out of reach: %s", outcome)
    elif report.delivered or report.replayed:
        logger.info("deletions repeated: %s", outcome)
    _metrics.flush()
    return outcome
