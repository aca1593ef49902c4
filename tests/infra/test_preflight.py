"""`make deploy` refuses another account, region or SQL engine than the stage's, and to meet a rotation of its token."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from functions.auth_token_rotation import secret as rotated
from stacks import preflight
from stacks.preflight import RotationRunsError, WrongTargetError, check, check_engine, check_rotation
from stacks.settings import StageConfig, load
from tests.infra.synthesis import SETTINGS

SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:token-AbCdEf"
ARN = "arn:aws:iam::111122223333:user/ann"


class StubbedSession(boto3.Session):
    """A session whose clients answer from stubs."""

    def __init__(self, region: str | None) -> None:
        super().__init__(region_name=region, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="example")
        make: Any = super().client
        self.clients = {
            name: make(name, "us-east-1") for name in ("sts", "cloudformation", "rds", "secretsmanager", "elasticache")
        }
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.stub = self.stubs["sts"]

    def client(self, service_name: str, *_args: object, **_options: object) -> Any:
        return self.clients[service_name]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubbedSession]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    session = StubbedSession("eu-west-1")
    with ExitStack() as stubs:
        for stub in session.stubs.values():
            stubs.enter_context(stub)
        yield session


def config(**overrides: str) -> StageConfig:
    return load("dev", SETTINGS["dev"] | {"account": "111122223333", "region": "eu-west-1"} | overrides)


def test_the_right_caller_in_the_right_region_may_deploy(session: StubbedSession) -> None:
    session.stub.add_response("get_caller_identity", {"Account": "111122223333", "Arn": ARN, "UserId": "U"})
    assert check(config(), session) == ARN


def test_another_account_is_refused_by_name(session: StubbedSession) -> None:
    session.stub.add_response("get_caller_identity", {"Account": "999988887777", "Arn": ARN, "UserId": "U"})
    with pytest.raises(WrongTargetError, match=r"belongs to account 111122223333.*in account 999988887777"):
        check(config(), session)


def test_another_region_is_refused_before_aws_is_asked(session: StubbedSession) -> None:
    with pytest.raises(WrongTargetError, match="belongs to region us-west-2, but the session's region is eu-west-1"):
        check(config(region="us-west-2"), session)


@pytest.mark.parametrize("missing", ["account", "region"])
def test_a_stage_without_a_place_of_its_own_is_refused(session: StubbedSession, missing: str) -> None:
    with pytest.raises(WrongTargetError, match="set account and region"):
        check(config(**{missing: "none"}), session)


def test_credentials_that_do_not_work_are_said_to(session: StubbedSession) -> None:
    session.stub.add_client_error("get_caller_identity", "ExpiredToken", "The security token is expired")
    with pytest.raises(WrongTargetError, match=r"cannot find out who is calling: .*expired"):
        check(config(), session)


@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_the_deployed_engine_may_be_deployed_again(session: StubbedSession, engine: str) -> None:
    asked = {"DBInstanceIdentifier": "cache-aside-dev"}
    session.stubs["rds"].add_response("describe_db_instances", {"DBInstances": [{"Engine": engine}]}, asked)
    check_engine(config(**{"database.engine": engine}), session)


def test_another_engine_is_refused_by_name(session: StubbedSession) -> None:
    session.stubs["rds"].add_response("describe_db_instances", {"DBInstances": [{"Engine": "postgres"}]})
    with pytest.raises(WrongTargetError, match=r"stage dev is postgres, not mysql.*-c database\.engine=postgres"):
        check_engine(config(**{"database.engine": "mysql"}), session)


def test_a_first_deployment_may_have_any_engine(session: StubbedSession) -> None:
    session.stubs["rds"].add_client_error("describe_db_instances", "DBInstanceNotFound", "DBInstance not found")
    check_engine(config(**{"database.engine": "mysql"}), session)


def test_an_engine_that_cannot_be_found_out_is_no_permission(session: StubbedSession) -> None:
    session.stubs["rds"].add_client_error("describe_db_instances", "AccessDenied", "not authorized")
    with pytest.raises(WrongTargetError, match=r"cannot find out which engine the database has: .*not authorized"):
        check_engine(config(), session)


def test_a_wrong_setting_ends_the_command_with_one_clear_error() -> None:
    with pytest.raises(SystemExit, match="error: unknown stage 'prdo'; allowed: dev, prod"):
        preflight.main(["-c", "stage=prdo"])


def deployed_with(session: StubbedSession, **labels: list[str]) -> None:
    """A stage that is deployed, whose secret's versions have these labels."""
    output = {"OutputKey": "AuthTokenSecretArn", "OutputValue": SECRET}
    stack = {
        "StackName": "cache-aside-dev-data",
        "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
        "StackStatus": "UPDATE_COMPLETE",
        "Outputs": [output],
    }
    asked = {"StackName": "cache-aside-dev-data"}
    session.stubs["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]}, asked)
    versions = {f"{name:_>32}": stages for name, stages in labels.items()}
    session.stubs["secretsmanager"].add_response(
        "describe_secret", {"ARN": SECRET, "VersionIdsToStages": versions}, {"SecretId": SECRET}
    )


@pytest.mark.parametrize(
    "labels",
    [
        {"first": ["AWSCURRENT"]},
        {"first": ["AWSPREVIOUS"], "second": ["AWSCURRENT"]},
        {"first": ["AWSPREVIOUS"], "second": ["AWSCURRENT", "AWSPENDING"]},
    ],
)
def test_a_rotation_that_is_over_lets_the_deployment_go_on(
    session: StubbedSession, labels: dict[str, list[str]]
) -> None:
    deployed_with(session, **labels)
    check_rotation(config(), session)
    session.stubs["secretsmanager"].assert_no_pending_responses()


@pytest.mark.parametrize(
    "labels",
    [
        {"first": ["AWSCURRENT"], "second": ["AWSPENDING"]},
        {"first": ["AWSCURRENT"], "second": ["AWSPENDING", "CACHE_TWO_TOKENS"]},
        {"first": ["AWSPREVIOUS"], "second": ["AWSCURRENT", "AWSPENDING", "CACHE_TWO_TOKENS"]},
        {"first": ["AWSPREVIOUS"], "second": ["AWSCURRENT", "CACHE_DRAINING_SINCE_1", "CACHE_TWO_TOKENS"]},
        {"first": ["AWSCURRENT"], "second": ["CACHE_TWO_TOKENS"]},
    ],
)
def test_a_rotation_under_way_refuses_the_deployment(session: StubbedSession, labels: dict[str, list[str]]) -> None:
    deployed_with(session, **labels)
    with pytest.raises(RotationRunsError, match=r"AUTH token of stage dev is being rotated .*docs/rotation\.md"):
        check_rotation(config(), session)


def test_a_stage_that_is_not_deployed_yet_has_no_rotation(session: StubbedSession) -> None:
    session.stubs["cloudformation"].add_client_error(
        "describe_stacks", "ValidationError", "Stack with id cache-aside-dev-data does not exist"
    )
    check_rotation(config(), session)


def test_a_rotation_that_cannot_be_asked_about_refuses_the_deployment(session: StubbedSession) -> None:
    session.stubs["cloudformation"].add_client_error("describe_stacks", "AccessDenied", "not allowed")
    with pytest.raises(RotationRunsError, match="cannot find out whether"):
        check_rotation(config(), session)


@pytest.mark.parametrize(("access", "warned"), [("on ~* +@all", True), ("off -@all", False)])
def test_a_cache_that_its_old_token_still_opens_is_warned_of(
    session: StubbedSession, access: str, warned: bool
) -> None:
    stub = session.stubs["elasticache"]
    group = {"UserGroupId": "cache-aside-dev", "UserIds": ["app", "former"]}
    stub.add_response("describe_user_groups", {"UserGroups": [group]}, {"UserGroupId": "cache-aside-dev"})
    app = {"UserId": "app", "UserName": "app", "AccessString": "on ~* +get"}
    stub.add_response("describe_users", {"Users": [app]}, {"UserId": "app"})
    former = {"UserId": "former", "UserName": "default", "AccessString": access}
    stub.add_response("describe_users", {"Users": [former]}, {"UserId": "former"})
    warning = preflight.old_token_opens(config(**{"cache.auth": "moved-to-iam"}), session)
    assert ("do step 4" in (warning or "")) is warned
    stub.assert_no_pending_responses()


def test_a_cache_that_cannot_be_asked_about_its_old_token_is_warned_of(session: StubbedSession) -> None:
    session.stubs["elasticache"].add_client_error("describe_user_groups", "AccessDenied", "not allowed")
    warning = preflight.old_token_opens(config(**{"cache.auth": "moved-to-iam"}), session)
    assert "cannot find out whether the old AUTH token" in (warning or "")


def test_the_labels_are_those_of_the_rotation() -> None:
    found = (preflight.CURRENT, preflight.PENDING, preflight.TWO_TOKENS)
    assert found == (rotated.CURRENT, rotated.PENDING, rotated.TWO_TOKENS)
