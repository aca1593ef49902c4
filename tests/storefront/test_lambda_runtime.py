"""The bundles under AWS's own Lambda runtime client: what a load balancer, a log and CloudWatch get of them."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks.function_code import LAMBDA_SRC, MIGRATIONS
from tests.storefront.deployment import OPERATOR
from tests.storefront.lambda_runtime import LambdaRuntime, bundle_for_here, environment_of_a_function
from tests.storefront.sql import Connection

pytestmark = [pytest.mark.engines, pytest.mark.bundling, pytest.mark.lambda_runtime]

Run = Callable[..., LambdaRuntime]


@pytest.fixture(scope="module")
def run(environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Starts functions, each with what the tests' deployment tells it and with the bundle that it has in AWS."""
    app = bundle_for_here(LAMBDA_SRC / "storefront" / "requirements.txt", tmp_path_factory.mktemp("app"))
    started: list[LambdaRuntime] = []

    def start(handler: str, code: Path = app, **more: str) -> LambdaRuntime:
        variables = environment_of_a_function() | more
        started.append(LambdaRuntime(tmp_path_factory.mktemp("environment"), code, handler, variables))
        return started[-1]

    yield start
    for runtime in started:
        runtime.close()


@pytest.fixture(scope="module")
def storefront(migrated: dict[str, Any], run: Run) -> LambdaRuntime:
    return run("storefront.lambda_handler.handler")


def request(method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
    """An event of an application load balancer ("Lambda functions as targets", its User Guide)."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:111122223333:x"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": {"host": "storefront", "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", **headers},
        "body": "" if body is None else base64.b64encode(json.dumps(body).encode()).decode(),
        "isBase64Encoded": body is not None,
    }


def test_product_is_answered_to_the_load_balancer(storefront: LambdaRuntime) -> None:
    answer = storefront.invoke(request("GET", "/products/7"))
    assert not answer.failed
    assert (answer.result["statusCode"], json.loads(answer.result["body"])["id"]) == (200, 7)
    assert answer.result["headers"]["Content-Type"] == "application/json"


def test_refused_password_is_a_line_of_json_that_the_alarm_counts(storefront: LambdaRuntime) -> None:
    wrong = {**OPERATOR, "password": "a wrong password"}
    request_id = "00000000-0000-4000-8000-00000000abcd"
    answer = storefront.invoke(request("POST", "/sessions", wrong, **{"content-type": "application/json"}), request_id)
    assert answer.result["statusCode"] == 401
    (line,) = (line for line in storefront.log() if line.get("event") == "password_refused")
    assert line["requestId"] == request_id
    assert set(line) >= {"timestamp", "level", "message", "logger"}
    assert "a wrong password" not in storefront.text()


@pytest.mark.usefixtures("migrated")
def test_relay_reports_and_its_metrics_are_lines_that_cloudwatch_reads(run: Run, master: Connection) -> None:
    master.execute("INSERT INTO cache_invalidations (\"key\", created_at) VALUES ('product:7', '2000-01-01')")
    relay = run("functions.invalidation_relay.handler.handler", METRIC_NAMESPACE="cache-aside-prod")
    answer = relay.invoke({})
    assert not answer.failed
    assert (answer.result["delivered"], answer.result["reachable"]) == (1, True)
    (metrics,) = (line for line in relay.log() if "_aws" in line)
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("cache-aside-prod", [["Policy"]])
    assert metrics["Policy"] == "none"
    assert {"Name": "CONFIRMED", "Unit": "Count"} in directive["Metrics"]
    assert metrics["CONFIRMED"] >= 1


@pytest.mark.usefixtures("migrated")
def test_migration_answers_the_framework_from_its_own_bundle(run: Run, tmp_path: Path) -> None:
    code = bundle_for_here(MIGRATIONS / "requirements.txt", tmp_path)
    migration = run("functions.schema_migration.handler.handler", code)
    answer = migration.invoke({"RequestType": "Update", "ResourceProperties": {"SampleData": "false"}})
    assert not answer.failed, answer
    assert answer.result["PhysicalResourceId"] == "schema-migration"
    assert "the database has revision" in migration.log()[-1]["message"]


def test_error_of_the_rotation_reaches_lambda_and_the_log_by_name(run: Run) -> None:
    rotation = run("functions.auth_token_rotation.handler.handler", ELASTICACHE_REPLICATION_GROUP_ID="the-group")
    answer = rotation.invoke({"Step": "createSecret", "SecretId": "arn:another", "ClientRequestToken": "1"})
    assert answer.failed
    assert answer.result["errorType"] == "RotationError"
    assert answer.result["errorMessage"] == "this function rotates another secret"
    assert (rotation.log()[-1]["level"], rotation.log()[-1]["errorType"]) == ("ERROR", "RotationError")
