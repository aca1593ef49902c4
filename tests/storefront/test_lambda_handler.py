"""The app as Lambda runs it, behind a load balancer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.storefront.deployment import OPERATOR

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("environment")]

Invoke = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def invoke(migrated: dict[str, Any]) -> Invoke:
    """Sends the handler a load balancer's event."""
    from storefront.lambda_handler import handler

    def send(method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        event = {
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:x"}},
            "httpMethod": method,
            "path": path,
            "queryStringParameters": {},
            "headers": {"host": "storefront", "x-forwarded-proto": "https", "x-forwarded-port": "443", **headers},
            "body": "" if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }
        return handler(event, None)

    return send


def test_product_is_served_as_text(invoke: Invoke) -> None:
    answer = invoke("GET", "/products/7")
    assert answer["statusCode"] == 200
    assert not answer["isBase64Encoded"]
    assert json.loads(answer["body"])["id"] == 7
    assert answer["headers"]["ETag"] == '"1"'


def test_reads_are_counted_in_the_embedded_metric_format(invoke: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    from storefront.lambda_handler import metrics

    metrics.flush()
    capsys.readouterr()
    for _ in range(3):
        invoke("GET", "/products/8")
    metrics.flush()
    counted = {line["Policy"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert (counted["product"]["MISS"], counted["product"]["HIT"]) == (1, 2)
    assert counted["product"]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "CacheAside"


def test_writing_with_a_token(invoke: Invoke) -> None:
    json_type = {"content-type": "application/json"}
    token = json.loads(invoke("POST", "/sessions", OPERATOR, **json_type)["body"])["token"]
    authorization = {"authorization": f"Bearer {token}"}
    created = invoke("POST", "/products", {"name": "Chair", "price": 1.5}, **json_type, **authorization)
    assert created["statusCode"] == 201
    assert invoke("DELETE", created["headers"]["Location"], **authorization)["statusCode"] == 204


@pytest.mark.parametrize("path", ["/products/%D9%A4%D9%A2", "/products/%FF", "/products/1%2F2"])
def test_odd_paths_are_not_found_and_problems_are_text(invoke: Invoke, path: str) -> None:
    answer = invoke("GET", path)
    assert answer["statusCode"] == 404
    assert not answer["isBase64Encoded"]
    assert json.loads(answer["body"])["status"] == 404


def test_token_outside_of_ascii_is_refused(invoke: Invoke) -> None:
    assert invoke("GET", "/sessions/current", authorization="Bearer \xff☕")["statusCode"] == 401
