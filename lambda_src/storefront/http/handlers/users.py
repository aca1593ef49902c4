"""Users and their passwords."""

from http import HTTPStatus

from storefront.http.operations import Call, Reply, Services
from storefront.http.replies import PRIVATE, revoked
from storefront.http.schemas.users import UserOutput


def current_user(_services: Services, call: Call) -> Reply:
    return Reply(HTTPStatus.OK, UserOutput(call.session.username, call.session.role), PRIVATE)


def create_user(services: Services, call: Call) -> Reply:
    services.users.create(call.body.username, call.body.password, call.body.role)
    return Reply(HTTPStatus.CREATED, UserOutput(call.body.username, call.body.role), PRIVATE)


def change_password(services: Services, call: Call) -> Reply:
    current, new = call.body.current_password, call.body.new_password
    outcome = services.users.change_password(call.session, call.token, current=current, new=new)
    return revoked(services, outcome)
