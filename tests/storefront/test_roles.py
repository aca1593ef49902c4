"""Who may do what: every row of the table of operations, asked by everybody."""

from collections.abc import Callable
from wsgiref.types import WSGIApplication

import httpx
import pytest

from storefront.entities import Role
from storefront.http.operations import LOGGED_IN, OPERATORS, Operation
from storefront.http.table import OPERATIONS
from tests.storefront.clients import log_in
from tests.storefront.deployment import OPERATOR

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

NAMED = {"product_id": "987654321", "name": "no-such-flag", "username": "no-such-user"}


@pytest.fixture(scope="module")
def logins(new_user: Callable[[], dict[str, str]]) -> dict[Role, dict[str, str]]:
    """The credentials of one user of each role."""
    return {Role.OPERATOR: OPERATOR, Role.CUSTOMER: new_user()}


def ask(client: httpx.Client, row: Operation, token: str | None) -> httpx.Response:
    """With a body that is of no operation's shape, so that whoever may ask changes nothing."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.request(row.method, row.path.format(**NAMED), json={}, headers=headers)


@pytest.mark.attack(
    "ask for every operation in every role, and in none", "each answers those alone whom the table of operations names"
)
@pytest.mark.parametrize("row", OPERATIONS, ids=lambda row: f"{row.method} {row.path}")
def test_row_is_for_those_whom_it_names_and_nobody_else(
    client: httpx.Client, app: WSGIApplication, logins: dict[Role, dict[str, str]], row: Operation
) -> None:
    assert set(logins) == set(Role)
    nobody = ask(client, row, None)
    assert (nobody.headers.get("WWW-Authenticate") == "Bearer") == bool(row.allowed)
    assert (nobody.status_code == 401) == bool(row.allowed)
    for role, credentials in logins.items():
        answer = ask(client, row, log_in(app, credentials))
        refused = bool(row.allowed) and role not in row.allowed
        assert (answer.status_code == 403) == refused, role
        assert answer.status_code != 401, role
        if refused:
            assert answer.json()["detail"] == f"Only for: {', '.join(row.allowed)}."


def test_what_anyone_may_ask_is_this_and_no_more() -> None:
    public = {(row.method, row.path) for row in OPERATIONS if not row.allowed}
    writes = {(method, path) for method, path in public if method != "GET"}
    assert writes == {("POST", "/sessions")}
    assert {row.allowed for row in OPERATIONS} <= {(), LOGGED_IN, OPERATORS}


def test_document_names_the_roles_of_every_row(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for row in OPERATIONS:
        described = paths[row.path][row.method.lower()]
        assert described.get("x-allowed-roles", []) == list(row.allowed)
        assert ("security" in described) == bool(row.allowed)
