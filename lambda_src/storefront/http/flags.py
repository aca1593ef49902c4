"""Feature flags."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from storefront.entities import Flag
from storefront.http.operations import OK, OPERATORS, Call, Operation, Reply, Services, pending
from storefront.http.problems import NO_SUCH_FLAG, problem


class FlagInput(msgspec.Struct):
    """Whether a feature is on, and for how many of its users. Other members are ignored."""

    enabled: bool
    rollout_percent: Annotated[int, Meta(ge=0, le=100)]


def get_flag(services: Services, call: Call) -> Reply:
    result = services.flags.get(call.name)
    flag, headers = result.value, {"X-Cache": result.served.value}
    if flag is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_FLAG), headers)
    return Reply(OK, flag, headers)


def change_flag(services: Services, call: Call) -> Reply:
    flag = Flag(call.name, call.body.enabled, call.body.rollout_percent)
    return Reply(OK, flag, pending(services.flags.change(flag, by=call.session)))


OPERATIONS = (
    Operation(
        method="GET",
        path="/flags/{name}",
        summary="Get a feature flag, through the cache",
        handler=get_flag,
        replies={OK: Flag},
        headers=("ETag", "X-Cache"),
    ),
    Operation(
        method="PUT",
        path="/flags/{name}",
        summary="Change a feature flag that a deployment has declared",
        handler=change_flag,
        allowed=OPERATORS,
        body=FlagInput,
        replies={OK: Flag},
        headers=("X-Invalidation",),
    ),
)
