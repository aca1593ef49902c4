"""What several handlers say."""

from http import HTTPStatus

from cache_aside import Invalidation
from storefront.http.operations import Reply, Services
from storefront.http.schemas.sessions import RevocationPending

PRIVATE = {"Cache-Control": "no-store"}
# What a run of the relay takes at most: docs/consistency.md.
_RELAY_RUN_SECONDS = 2


def pending(invalidation: Invalidation) -> dict[str, str]:
    """The header of a write whose old value the cache may still have."""
    return {"X-Invalidation": "pending"} if invalidation.pending else {}


def revoked(services: Services, invalidation: Invalidation) -> Reply:
    """204 once no server that may answer for the cache lets the ended sessions in; 202 until then, with the bound."""
    if invalidation.confirmed:
        return Reply(HTTPStatus.NO_CONTENT)
    body = RevocationPending(holds_within_seconds=services.relay_period_seconds + _RELAY_RUN_SECONDS)
    return Reply(HTTPStatus.ACCEPTED, body, PRIVATE | pending(invalidation))
