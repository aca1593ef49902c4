"""The app for AWS Lambda behind an application load balancer."""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from apig_wsgi import make_lambda_handler

from cache_aside import EmbeddedMetrics
from storefront.bootstrap import build_app
from storefront.settings import Settings

_TEXT = ("application/json", "application/problem+json")


def behind_load_balancer(app: WSGIApplication) -> WSGIApplication:
    """Says where the client connects from: the last entry of X-Forwarded-For, which the load balancer has appended.

    Those before it are the client's own words, and apig_wsgi believes the first.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
    """

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["REMOTE_ADDR"] = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        return app(environ, start_response)

    return call


metrics = EmbeddedMetrics()
handler = make_lambda_handler(
    behind_load_balancer(build_app(Settings.from_environment(os.environ), observer=metrics)),
    non_binary_content_type_prefixes=_TEXT,
)
