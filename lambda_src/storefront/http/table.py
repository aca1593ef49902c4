"""What the app answers: the rows."""

from functools import cache
from http import HTTPStatus

from storefront.entities import Bestseller
from storefront.http.handlers import flags, health, products, sales, sessions, users
from storefront.http.openapi import document
from storefront.http.operations import LOGGED_IN, OPERATORS, Call, Operation, Reply, Services
from storefront.http.schemas.flags import FlagInput, FlagOutput
from storefront.http.schemas.products import PageQuery, ProductInput, ProductOutput, ProductPage
from storefront.http.schemas.sales import LeaderboardQuery, PurchaseInput, PurchaseOutput, Stock
from storefront.http.schemas.service import Liveness, OpenApiDocument, Readiness
from storefront.http.schemas.sessions import Credentials, CurrentSession, RevocationPending, SessionCreated
from storefront.http.schemas.users import PasswordChange, UserInput, UserOutput

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
        handler=sessions.log_in,
        body=Credentials,
        replies={CREATED: SessionCreated},
        headers=("Cache-Control",),
        problems=(HTTPStatus.UNAUTHORIZED,),
    ),
    Operation(
        method="GET",
        path="/sessions/current",
        summary="Who is logged in",
        handler=sessions.current_session,
        allowed=LOGGED_IN,
        replies={OK: CurrentSession},
        headers=("Cache-Control",),
    ),
    Operation(
        method="DELETE",
        path="/sessions/current",
        summary="Log out",
        handler=sessions.log_out,
        allowed=LOGGED_IN,
        replies={NO_CONTENT: None, HTTPStatus.ACCEPTED: RevocationPending},
        headers=("Cache-Control", "X-Invalidation"),
    ),
    Operation(
        method="POST",
        path="/users",
        summary="Create a user",
        handler=users.create_user,
        allowed=OPERATORS,
        body=UserInput,
        replies={CREATED: UserOutput},
        headers=("Cache-Control",),
        problems=(HTTPStatus.CONFLICT,),
    ),
    Operation(
        method="GET",
        path="/users/me",
        summary="Who asks, and as what",
        handler=users.current_user,
        allowed=LOGGED_IN,
        replies={OK: UserOutput},
        headers=("Cache-Control",),
    ),
    Operation(
        method="PUT",
        path="/users/me/password",
        summary="Change one's password, and end every other session",
        handler=users.change_password,
        allowed=LOGGED_IN,
        body=PasswordChange,
        replies={NO_CONTENT: None, HTTPStatus.ACCEPTED: RevocationPending},
        headers=("Cache-Control", "X-Invalidation"),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="GET",
        path="/flags/{name}",
        summary="Get a feature flag, through the cache",
        handler=flags.get_flag,
        replies={OK: FlagOutput},
        headers=("ETag", "X-Cache"),
    ),
    Operation(
        method="PUT",
        path="/flags/{name}",
        summary="Change a feature flag that a deployment has declared",
        handler=flags.change_flag,
        allowed=OPERATORS,
        body=FlagInput,
        replies={OK: FlagOutput},
        headers=("X-Invalidation",),
    ),
    Operation(
        method="GET",
        path="/products",
        summary="A page of products, in the order of their ids",
        handler=products.list_products,
        query=PageQuery,
        replies={OK: ProductPage},
        headers=("ETag", "X-Cache"),
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Operation(
        method="POST",
        path="/products",
        summary="Create a product",
        handler=products.create_product,
        allowed=OPERATORS,
        body=ProductInput,
        replies={CREATED: ProductOutput},
        headers=("Location", "ETag", "X-Invalidation"),
    ),
    Operation(
        method="GET",
        path="/products/{product_id}",
        summary="Get a product, through the cache",
        handler=products.get_product,
        replies={OK: ProductOutput},
        headers=("ETag", "X-Cache"),
    ),
    Operation(
        method="PUT",
        path="/products/{product_id}",
        summary="Replace a product",
        handler=products.replace_product,
        allowed=OPERATORS,
        if_match=True,
        body=ProductInput,
        replies={OK: ProductOutput},
        headers=("ETag", "X-Invalidation"),
    ),
    Operation(
        method="DELETE",
        path="/products/{product_id}",
        summary="Delete a product",
        handler=products.delete_product,
        allowed=OPERATORS,
        if_match=True,
        replies={NO_CONTENT: None},
        headers=("X-Invalidation",),
    ),
    Operation(
        method="GET",
        path="/products/{product_id}/inventory",
        summary="How many there are, from the database",
        handler=sales.get_inventory,
        replies={OK: Stock},
        headers=("Cache-Control", "X-Cache"),
    ),
    Operation(
        method="PUT",
        path="/products/{product_id}/inventory",
        summary="Set how many there are",
        handler=sales.replace_inventory,
        allowed=OPERATORS,
        body=Stock,
        replies={OK: Stock},
        headers=("Cache-Control",),
    ),
    Operation(
        method="POST",
        path="/products/{product_id}/purchases",
        summary="Buy, if there are enough",
        handler=sales.create_purchase,
        allowed=LOGGED_IN,
        idempotency_key=True,
        body=PurchaseInput,
        replies={CREATED: PurchaseOutput},
        headers=("Cache-Control",),
        problems=(HTTPStatus.CONFLICT,),
    ),
    Operation(
        method="GET",
        path="/leaderboard",
        summary="The products of which most units were sold, at most a minute old",
        handler=sales.get_leaderboard,
        query=LeaderboardQuery,
        replies={OK: list[Bestseller]},
        headers=("ETag", "X-Cache"),
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
    Operation(
        method="GET",
        path="/health/live",
        summary="Whether the process serves",
        handler=health.live,
        replies={OK: Liveness},
    ),
    Operation(
        method="GET",
        path="/health/ready",
        summary="Whether the process can do its work",
        handler=health.ready,
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
