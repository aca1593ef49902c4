"""The OpenAPI document against the app: generated requests to every operation, all checks on, the same every time."""

import os
from wsgiref.types import WSGIApplication

import httpx
import pytest

from storefront.http.table import OPERATIONS
from tests.openapi.generated import run
from tests.storefront.clients import log_in
from tests.storefront.deployment import OPERATOR

pytestmark = [pytest.mark.engines, pytest.mark.every_engine, pytest.mark.usefixtures("environment")]

FACTOR = int(os.environ.get("CONTRACT_FACTOR", "1"))  # `make contract-soak` runs more
# Who asks, the most examples of an operation in a phase, and how many cases that makes at least.
ON_POSTGRES, ON_MYSQL = pytest.mark.only_on("postgres"), pytest.mark.only_on("mysql")
PASSES = [
    pytest.param("operator", 20, 900, marks=ON_POSTGRES),
    pytest.param("operator", 4, 500, marks=ON_MYSQL),
    pytest.param("customer", 4, 500, marks=ON_POSTGRES),
]
# schemathesis leaves out the operation that it reads the document from.
LABELS = {f"{row.method} {row.path}" for row in OPERATIONS if row.path != "/openapi.json"}
CHECKS = {
    "allow_header_conformance",
    "content_type_conformance",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "not_a_server_error",
    "positive_data_acceptance",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
    "unsupported_method",
}


@pytest.mark.parametrize(("role", "examples", "cases"), PASSES)
def test_app_does_what_the_document_says_and_nothing_else(
    app: WSGIApplication, url: str, role: str, examples: int, cases: int
) -> None:
    user = {"username": f"generated-{role}", "password": "generated cases", "role": role}
    made = httpx.post(f"{url}/users", json=user, headers={"Authorization": f"Bearer {log_in(app, OPERATOR)}"})
    assert made.status_code == 201
    token = log_in(app, user)

    def token_for(label: str) -> str:
        return log_in(app, user) if label == "DELETE /sessions/current" else token

    findings = run(url, token_for=token_for, most_examples=examples * FACTOR)
    assert findings.problems == []
    assert findings.cases.total() >= cases
    assert findings.cases.keys() == LABELS
    assert findings.phases == {"examples", "coverage", "fuzzing", "stateful"}
    assert findings.checks >= CHECKS
