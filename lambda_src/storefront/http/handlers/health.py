"""Whether the app lives, and whether it can work."""

from http import HTTPStatus

from storefront.http.operations import Call, Reply, Services
from storefront.http.problems import RETRY_AFTER_SECONDS, problem
from storefront.http.schemas.service import Liveness, Readiness

_AVAILABLE, _UNAVAILABLE = "available", "unavailable"


def live(_services: Services, _call: Call) -> Reply:
    return Reply(HTTPStatus.OK, Liveness(_AVAILABLE))


def ready(services: Services, _call: Call) -> Reply:
    cache = _AVAILABLE if services.cache_available() else _UNAVAILABLE
    if services.database_available():
        return Reply(HTTPStatus.OK, Readiness(cache, _AVAILABLE))
    unready = problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable.")
    unready.cache, unready.database = cache, _UNAVAILABLE
    return Reply(HTTPStatus.SERVICE_UNAVAILABLE, unready, {"Retry-After": str(RETRY_AFTER_SECONDS)})
