"""`make deploy` refuses any account and region but the stage's own, and another SQL engine than its database has."""

from collections.abc import Iterator
from typing import Literal

import boto3
import pytest
from botocore.stub import Stubber

from stacks import deployment_target
from stacks.config import StageConfig
from stacks.deployment_target import WrongTargetError, check, check_engine
from stacks.stages import load
from tests.infra.synthesis import SETTINGS

ARN = "arn:aws:iam::111122223333:user/ann"


class StubbedSession(boto3.Session):
    """A session whose only client answers from a stub."""

    def __init__(self, region: str | None, service: Literal["sts", "rds"]) -> None:
        super().__init__(region_name=region, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="example")
        self.stubbed = super().client(service, region_name="us-east-1")
        self.stub = Stubber(self.stubbed)

    def client(self, *_args: object, **_options: object) -> object:  # type: ignore[override]
        return self.stubbed


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubbedSession]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    session = StubbedSession("eu-west-1", "sts")
    with session.stub:
        yield session


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubbedSession]:
    """A session that can only look at the stage's database."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    session = StubbedSession("eu-west-1", "rds")
    with session.stub:
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
def test_the_deployed_engine_may_be_deployed_again(database: StubbedSession, engine: str) -> None:
    asked = {"DBInstanceIdentifier": "cache-aside-dev"}
    database.stub.add_response("describe_db_instances", {"DBInstances": [{"Engine": engine}]}, asked)
    check_engine(config(**{"database.engine": engine}), database)


def test_another_engine_is_refused_by_name(database: StubbedSession) -> None:
    database.stub.add_response("describe_db_instances", {"DBInstances": [{"Engine": "postgres"}]})
    with pytest.raises(WrongTargetError, match=r"stage dev is postgres, not mysql.*-c database\.engine=postgres"):
        check_engine(config(**{"database.engine": "mysql"}), database)


def test_a_first_deployment_may_have_any_engine(database: StubbedSession) -> None:
    database.stub.add_client_error("describe_db_instances", "DBInstanceNotFound", "DBInstance not found")
    check_engine(config(**{"database.engine": "mysql"}), database)


def test_an_engine_that_cannot_be_found_out_is_no_permission(database: StubbedSession) -> None:
    database.stub.add_client_error("describe_db_instances", "AccessDenied", "not authorized")
    with pytest.raises(WrongTargetError, match=r"cannot find out which engine the database has: .*not authorized"):
        check_engine(config(), database)


def test_a_wrong_setting_ends_the_command_with_one_clear_error() -> None:
    with pytest.raises(SystemExit, match="error: unknown stage 'prdo'; allowed: dev, prod"):
        deployment_target.main(["-c", "stage=prdo"])
