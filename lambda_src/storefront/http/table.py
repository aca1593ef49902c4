"""What the app answers: the rows."""

from functools import cache
from http import HTTPStatus

from storefront.http import handlers
from storefront.http.openapi import document
from storefront.http.operations import Call, Operation, Reply, Services
from storefront.http.schemas import (
    Credentials,
    CurrentSession,
    Liveness,
    LogoutPending,
    OpenApiDocument,
    ProductInput,
    ProductOutput,
    Readiness,
    SessionCreated,
)

OK, CREATED, NO_CONTENT = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT


@cache
def _document() -> OpenApiDocument:
    return document(OPERATIONS)


def openapi(_services: Services, _call: Call) -> Reply:
    """The document that describes this table."""
    return Reply(OK, _document())


OPERATIONS = (
    Operation(
        method="POST",
        path="/sessions",
        summary="Log in",
        handler=handlers.log_in,
        body=Credentials,
        replies={CREATED: SessionCreated},
        problems=(HTTPStatus.UNAUTHORIZED,),
    ),
    Operation(
        method="GET",
        path="/sessions/current",
        summary="Who is logged in",
        handler=handlers.current_session,
        authenticated=True,
        replies={OK: CurrentSession},
    ),
    Operation(
        method="DELETE",
        path="/sessions/current",
        summary="Log out",
        handler=handlers.log_out,
        authenticated=True,
        replies={NO_CONTENT: None, HTTPStatus.ACCEPTED: LogoutPending},
        headers=("X-Invalidation",),
    ),
    Operation(
        method="POST",
        path="/products",
        summary="Create a product",
        handler=handlers.create_product,
        authenticated=True,
        body=ProductInput,
        replies={CREATED: ProductOutput},
        headers=("Location", "ETag", "X-Invalidation"),
    ),
    Operation(
        method="GET",
        path="/products/{product_id}",
        summary="Get a product, through the cache",
        handler=handlers.get_product,
        precondition="If-None-Match",
        replies={OK: ProductOutput, HTTPStatus.NOT_MODIFIED: None},
        headers=("ETag", "X-Cache"),
    ),
    Operation(
        method="PUT",
        path="/products/{product_id}",
        summary="Replace a product",
        handler=handlers.replace_product,
        authenticated=True,
        precondition="If-Match",
        body=ProductInput,
        replies={OK: ProductOutput},
        headers=("ETag", "X-Invalidation"),
        problems=(HTTPStatus.PRECONDITION_FAILED,),
    ),
    Operation(
        method="DELETE",
        path="/products/{product_id}",
        summary="Delete a product",
        handler=handlers.delete_product,
        authenticated=True,
        precondition="If-Match",
        replies={NO_CONTENT: None},
        headers=("X-Invalidation",),
        problems=(HTTPStatus.PRECONDITION_FAILED,),
    ),
    Operation(
        method="GET",
        path="/health/live",
        summary="Whether the process serves",
        handler=handlers.live,
        replies={OK: Liveness},
    ),
    Operation(
        method="GET",
        path="/health/ready",
        summary="Whether the process can do its work",
        handler=handlers.ready,
        replies={OK: Readiness},
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        summary="This document",
        handler=openapi,
        replies={OK: OpenApiDocument},
    ),
)
