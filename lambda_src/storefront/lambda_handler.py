"""The app for AWS Lambda behind an application load balancer."""

import os

from apig_wsgi import make_lambda_handler

from cache_aside import EmbeddedMetrics
from storefront.bootstrap import build_app
from storefront.settings import Settings

_TEXT = ("application/json", "application/problem+json")

settings = Settings.from_environment(os.environ)
metrics = EmbeddedMetrics(settings.metric_namespace)
handler = make_lambda_handler(
    build_app(settings, observer=metrics),
    non_binary_content_type_prefixes=_TEXT,
)
