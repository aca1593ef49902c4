"""The app for AWS Lambda behind an application load balancer."""

import os

from apig_wsgi import make_lambda_handler
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from cache_aside import Served
from storefront.bootstrap import build_app
from storefront.settings import Settings

# Printed in the embedded metric format at the end of each invocation.
_metrics = Metrics(namespace="CacheAside", service="storefront")


def _count(served: Served) -> None:
    _metrics.add_metric(name=f"Cache{served.value.capitalize()}", unit=MetricUnit.Count, value=1)


_app = build_app(Settings.from_environment(os.environ), count=_count)
_TEXT = ("application/json", "application/problem+json")

handler = _metrics.log_metrics(make_lambda_handler(_app, non_binary_content_type_prefixes=_TEXT))
