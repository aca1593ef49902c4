"""Whether the app lives, and whether it can work."""

from http import HTTPStatus

import msgspec

from storefront.http.operations import OK, Call, Operation, Reply, Services
from storefront.http.problems import RETRY_AFTER_SECONDS, problem


class Liveness(msgspec.Struct):
    """The process serves."""

    status: str


class Readiness(msgspec.Struct):
    """What the process depends on: each `available` or `unavailable`."""

    cache: str
    database: str


_AVAILABLE, _UNAVAILABLE = "available", "unavailable"


def live(_services: Services, _call: Call) -> Reply:
    return Reply(OK, Liveness(_AVAILABLE))


def ready(services: Services, _call: Call) -> Reply:
    cache = _AVAILABLE if services.cache_available() else _UNAVAILABLE
    if services.database_available():
        return Reply(OK, Readiness(cache, _AVAILABLE))
    unready = problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable.")
    unready.cache, unready.database = cache, _UNAVAILABLE
    return Reply(HTTPStatus.SERVICE_UNAVAILABLE, unready, {"Retry-After": str(RETRY_AFTER_SECONDS)})


OPERATIONS = (
    Operation(
        method="GET",
        path="/health/live",
        summary="Whether the process serves",
        handler=live,
        replies={OK: Liveness},
    ),
    Operation(
        method="GET",
        path="/health/ready",
        summary="Whether the process can do its work",
        handler=ready,
        replies={OK: Readiness},
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
)
