"""Feature flags."""

from http import HTTPStatus

from storefront.entities import Flag
from storefront.http.operations import Call, Reply, Services
from storefront.http.problems import NO_SUCH_FLAG, problem
from storefront.http.replies import pending
from storefront.http.schemas.flags import FlagOutput


def get_flag(services: Services, call: Call) -> Reply:
    result = services.flags.get(call.name)
    flag, headers = result.value, {"X-Cache": result.served.value}
    if flag is None:
        return Reply(HTTPStatus.NOT_FOUND, problem(HTTPStatus.NOT_FOUND, NO_SUCH_FLAG), headers)
    return Reply(HTTPStatus.OK, _output(flag), headers)


def change_flag(services: Services, call: Call) -> Reply:
    flag = Flag(call.name, call.body.enabled, call.body.rollout_percent)
    return Reply(HTTPStatus.OK, _output(flag), pending(services.flags.change(flag)))


def _output(flag: Flag) -> FlagOutput:
    return FlagOutput(flag.name, flag.enabled, flag.rollout_percent)
