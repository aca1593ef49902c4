"""Logging in and out."""

from http import HTTPStatus

from storefront.http.operations import Call, Reply, Services
from storefront.http.replies import PRIVATE, revoked
from storefront.http.schemas.sessions import CurrentSession, SessionCreated


def log_in(services: Services, call: Call) -> Reply:
    token, session = services.sessions.log_in(call.body.username, call.body.password)
    return Reply(HTTPStatus.CREATED, SessionCreated(token, session.expires_at), PRIVATE)


def current_session(_services: Services, call: Call) -> Reply:
    session = call.session
    return Reply(HTTPStatus.OK, CurrentSession(session.username, session.role, session.expires_at), PRIVATE)


def log_out(services: Services, call: Call) -> Reply:
    return revoked(services, services.sessions.log_out(call.token))
