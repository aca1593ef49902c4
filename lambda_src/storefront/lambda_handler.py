"""The app for AWS Lambda behind an application load balancer."""

import os

from apig_wsgi import make_lambda_handler

from cache_aside import EmbeddedMetrics
from storefront.bootstrap import build_app
from storefront.settings import Settings

_TEXT = ("application/json", "application/problem+json")

metrics = EmbeddedMetrics()
handler = make_lambda_handler(
    build_app(Settings.from_environment(os.environ), observer=metrics),
    non_binary_content_type_prefixes=_TEXT,
)
