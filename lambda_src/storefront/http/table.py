"""The table of operations: every row is in the module of what it is about."""

from functools import cache

from storefront.http import flags, health, products, sales, sessions, users
from storefront.http.openapi import OpenApiDocument, document
from storefront.http.operations import OK, Call, Operation, Reply, Services


@cache
def _document() -> OpenApiDocument:
    return document(OPERATIONS)


def openapi(_services: Services, _call: Call) -> Reply:
    """The document that describes this table."""
    return Reply(OK, _document())


OPERATIONS = (
    *sessions.OPERATIONS,
    *users.OPERATIONS,
    *flags.OPERATIONS,
    *products.OPERATIONS,
    *sales.OPERATIONS,
    *health.OPERATIONS,
    Operation(
        method="GET",
        path="/openapi.json",
        summary="This document",
        handler=openapi,
        replies={OK: OpenApiDocument},
    ),
)
