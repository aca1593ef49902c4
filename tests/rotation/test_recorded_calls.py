"""What the functions' code asks of AWS, recorded by botocore and held against what `make iam` simulates."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.handlers
import httpx
import pytest
from botocore.awsrequest import AWSRequest
from botocore.model import OperationModel

from audit.iam.requests import CALLS
from functions.auth_token_rotation.function import Function
from functions.auth_token_rotation.settings import Settings as RotationSettings
from storefront.bootstrap import build_app, build_relay
from storefront.database import DatabaseUnavailableError, LoginRefusedError
from storefront.settings import Settings
from tests.rotation.fake_group import GROUP
from tests.rotation.fake_secret import ARN
from tests.rotation.scene import STEPS, Scene, Time
from tests.storefront.conftest import database, master
from tests.storefront.deployment import migrate, variables

pytestmark = pytest.mark.engines
__all__ = ["database", "master"]

# What names a thing in a call, and the variable that a function has it from.
NAMED_BY = ("SecretId", "ReplicationGroupId")
VARIABLES = [
    *variables(cache="", database="", ca_file="", aws_url=""),
    "ELASTICACHE_REPLICATION_GROUP_ID",
    "ELASTICACHE_USER",
]


class Recorder:
    """Notes every call as calls.json has it: the action, and the variables that name its object."""

    def __init__(self) -> None:
        self.calls: set[str] = set()

    def call(self, params: dict[str, Any], model: OperationModel, **_: object) -> None:
        """An API call, before its parameters are sent."""
        named = [_variable(params[name]) for name in NAMED_BY if name in params]
        self.calls.add(" ".join([f"{model.service_model.service_name}:{model.name}", *named]))

    def login(self, request: AWSRequest, signing_name: str, **_: object) -> None:
        """A token that is signed: its URL names what it logs in to."""
        url = urlsplit(str(request.url))
        (user,) = next(v for k, v in parse_qs(url.query).items() if k in {"DBUser", "User"})
        if signing_name == "rds-db":
            self.calls.add(f"rds-db:connect {_variable(url.netloc)} {_variable(user)}")
        else:
            self.calls.add(f"elasticache:Connect {_variable(user)} {_variable(url.netloc)}")


def _variable(value: object) -> str:
    """The variable of the environment that has the value. StopIteration where the code has it from elsewhere."""
    return next(f"${name}" for name in VARIABLES if os.environ.get(name) == value)


def recorded(handler: str) -> set[str]:
    return set(json.loads(CALLS.read_text())[handler])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Hears every session that is made from now on."""
    recorder = Recorder()
    heard = [
        ("provide-client-params.*.*", recorder.call),
        ("before-sign.rds-db.connect", recorder.login),
        ("before-sign.elasticache.connect", recorder.login),
    ]
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, *heard])
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return recorder


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Turns the environment into that of a stage whose cache has users."""

    def change() -> None:
        monkeypatch.delenv("ELASTICACHE_AUTH_SECRET_ARN")
        monkeypatch.setenv("ELASTICACHE_USER", "the-user")
        monkeypatch.setenv("ELASTICACHE_REPLICATION_GROUP_ID", "the-group")

    return change


def serve() -> None:
    """One read, with everything that it needs first. Here nothing takes the tokens."""
    transport = httpx.WSGITransport(app=build_app(Settings.from_environment(os.environ)))
    with httpx.Client(transport=transport, base_url="http://storefront") as client:
        client.get("/products/1")


def repeat_deletions() -> None:
    try:
        build_relay(Settings.from_environment(os.environ)).run_once()
    except (DatabaseUnavailableError, LoginRefusedError):
        return


@pytest.mark.parametrize(
    ("handler", "work"),
    [
        ("storefront.lambda_handler.handler", serve),
        ("functions.invalidation_relay.handler.handler", repeat_deletions),
    ],
)
@pytest.mark.usefixtures("migrated")
def test_app_and_relay_call_what_is_recorded(
    handler: str,
    work: Callable[[], None],
    recorder: Recorder,
    as_user: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work()
    as_user()
    work()
    monkeypatch.delenv("RDS_PASSWORD")
    work()
    assert recorder.calls == recorded(handler)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("with_user", [False, True])
def test_migration_calls_what_is_recorded(
    with_user: bool, database: str, recorder: Recorder, as_user: Callable[[], None]
) -> None:
    if with_user:
        as_user()
    migrate()
    other = "$ELASTICACHE_AUTH_SECRET_ARN" if with_user else "elasticache:Connect"
    expected = recorded("functions.schema_migration.handler.handler")
    assert recorder.calls == {call for call in expected if other not in call}


def test_rotation_calls_what_is_recorded(scene: Scene, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    given = variables(cache=scene.server.endpoint, database="", ca_file=scene.server.ca_file, aws_url=scene.aws.url)
    own = {"ELASTICACHE_AUTH_SECRET_ARN": ARN, "ELASTICACHE_REPLICATION_GROUP_ID": GROUP, "DRAIN_SECONDS": "0"}
    for name, value in (given | own).items():
        monkeypatch.setenv(name, value)
    function = Function(RotationSettings.from_environment(os.environ), boto3.Session(), poll_seconds=0.01)
    version = scene.begin()
    for step in STEPS:
        function({"Step": step, "SecretId": ARN, "ClientRequestToken": version}, Time())
    while function({"settle": True}, Time())["state"] != "settled":
        continue
    assert recorder.calls == recorded("functions.auth_token_rotation.handler.handler")


def test_every_handler_of_the_functions_is_recorded() -> None:
    root = Path(__file__).parents[2] / "lambda_src"
    modules = [path.relative_to(root).with_suffix("") for path in root.rglob("*handler.py")]
    assert {f"{'.'.join(module.parts)}.handler" for module in modules} == set(json.loads(CALLS.read_text()))
