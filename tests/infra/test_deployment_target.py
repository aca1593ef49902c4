"""`make deploy` refuses any account and region but the stage's own."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber

from stacks import deployment_target
from stacks.config import StageConfig
from stacks.deployment_target import WrongTargetError, check
from stacks.stages import load
from tests.infra.synthesis import SETTINGS

ARN = "arn:aws:iam::111122223333:user/ann"


class StubbedSession(boto3.Session):
    """A session whose STS client answers from a stub."""

    def __init__(self, region: str | None) -> None:
        super().__init__(region_name=region, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="example")
        self.sts = super().client("sts", region_name="us-east-1")
        self.stub = Stubber(self.sts)

    def client(self, *_args: object, **_options: object) -> object:  # type: ignore[override]
        return self.sts


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubbedSession]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    session = StubbedSession("eu-west-1")
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


def test_a_wrong_setting_ends_the_command_with_one_clear_error() -> None:
    with pytest.raises(SystemExit, match="error: unknown stage 'prdo'; allowed: dev, prod"):
        deployment_target.main(["-c", "stage=prdo"])
