"""The app for AWS Lambda behind an application load balancer."""

import os

from apig_wsgi import make_lambda_handler
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from cache_aside import Served
from storefront.bootstrap import build_app
from storefront.settings import Settings

_TEXT = ("application/json", "application/problem+json")


def _count(served: Served) -> None:
    name = f"Cache{served.value.capitalize()}"
    dimensions = {"service": "storefront"}
    # Leaving the block prints the count in the embedded metric format.
    with single_metric(name, MetricUnit.Count, 1, namespace="CacheAside", default_dimensions=dimensions):
        pass


handler = make_lambda_handler(
    build_app(Settings.from_environment(os.environ), count=_count), non_binary_content_type_prefixes=_TEXT
)
