"""`make deploy`: which commands it runs, by what is deployed already."""

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from stacks import deployment
from stacks.account import HELPERS
from stacks.deployment import DeploymentError, commands, deploy, unfinished
from stacks.settings import load
from tests.infra.synthesis import SETTINGS, Stage

CONFIG = load("prod", SETTINGS["prod"])
ARGUMENTS = ["-c", "stage=prod"]
FINISHED = ["npx", "cdk", "deploy", "--all", *ARGUMENTS]


@cache
def _clients() -> dict[str, Any]:
    """Made once: EC2's model alone takes a second to read."""
    make: Any = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1").client
    return {name: make(name) for name in ("cloudformation", "ec2", "rds", "lambda")}


class Session(boto3.Session):
    """A session whose CloudFormation answers what it was told."""

    def __init__(self) -> None:
        super().__init__(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
        self.stubs = {name: Stubber(client) for name, client in _clients().items()}
        self.stub = self.stubs["cloudformation"]
        for stub in self.stubs.values():
            stub.activate()

    def client(self, service: str, *_: object, **__: object) -> Any:  # type: ignore[override]
        return _clients()[service]

    def account(self, *, zones: int = 3, classes: int = 1, executions: int = 1000) -> None:
        """What the account offers, as it answers to `make deploy`."""
        named = [{"ZoneName": f"us-east-1{letter}"} for letter in "abc"[:zones]]
        self.stubs["ec2"].add_response("describe_availability_zones", {"AvailabilityZones": named})
        options = [{"Engine": "postgres"}] * classes
        self.stubs["rds"].add_response(
            "describe_orderable_db_instance_options", {"OrderableDBInstanceOptions": options}
        )
        limit = {"UnreservedConcurrentExecutions": executions}
        self.stubs["lambda"].add_response("get_account_settings", {"AccountLimit": limit})

    def has(self, *, protected: bool = False, **statuses: str | None) -> None:
        """The status of each stack; None for a stack that does not exist."""
        for stack, status in statuses.items():
            name = f"cache-aside-prod-{stack}"
            if status is None:
                self.stub.add_client_error("describe_stacks", "ValidationError", f"Stack with id {name} does not exist")
            else:
                described = {
                    "StackName": name,
                    "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
                    "StackStatus": status,
                    "EnableTerminationProtection": protected,
                }
                self.stub.add_response("describe_stacks", {"Stacks": [described]}, {"StackName": name})


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    for stub in session.stubs.values():
        stub.assert_no_pending_responses()
        stub.deactivate()


def first(*stacks: str, creating: str) -> list[str]:
    return ["npx", "cdk", "deploy", *stacks, "--exclusively", "--no-rollback", *ARGUMENTS, "-c", f"creating={creating}"]


def before(*stacks: str, creating: str) -> list[str]:
    return ["npx", "cdk", "deploy", *stacks, "--exclusively", *ARGUMENTS, "-c", f"creating={creating}"]


def test_a_deployed_stage_is_deployed_with_rollback_and_protection(session: Session) -> None:
    session.has(network="UPDATE_COMPLETE", data="CREATE_COMPLETE", app="UPDATE_ROLLBACK_COMPLETE")
    assert commands(unfinished(CONFIG, session), ARGUMENTS) == [FINISHED]


def test_a_new_stage_is_created_without_both_and_then_protected(session: Session) -> None:
    session.has(network=None, data=None, app=None)
    expected = [first("Network", "Data", "App", creating="network,data,app"), FINISHED]
    assert commands(unfinished(CONFIG, session), ARGUMENTS) == expected


@pytest.mark.parametrize("status", [*deployment.UNFINISHED, deployment.REPEATED])
def test_a_creation_goes_on_where_it_failed_once_what_it_imports_is_deployed(session: Session, status: str) -> None:
    session.has(network="CREATE_COMPLETE", data=status, app=None)
    expected = [before("Network", creating="data,app"), first("Data", "App", creating="data,app"), FINISHED]
    assert commands(unfinished(CONFIG, session), ARGUMENTS) == expected


def test_a_cause_in_the_data_stack_is_repaired_before_the_app_is_created_again(session: Session) -> None:
    session.has(network="UPDATE_COMPLETE", data="UPDATE_COMPLETE", app="CREATE_FAILED")
    expected = [before("Network", "Data", creating="app"), first("App", creating="app"), FINISHED]
    assert commands(unfinished(CONFIG, session), ARGUMENTS) == expected


def test_a_failed_update_of_a_protected_stage_is_no_creation_and_takes_no_protection_off(session: Session) -> None:
    session.has(protected=True, network="UPDATE_COMPLETE", data="UPDATE_FAILED", app="UPDATE_FAILED")
    assert commands(unfinished(CONFIG, session), ARGUMENTS) == [FINISHED]


def test_a_protected_stack_that_was_rolled_back_can_be_deleted_before_it_is_created_again(session: Session) -> None:
    session.has(protected=True, network="ROLLBACK_COMPLETE", data=None, app=None)
    session.account()
    lifted = {"StackName": "cache-aside-prod-network", "EnableTerminationProtection": False}
    session.stub.add_response("update_termination_protection", {}, lifted)
    assert deploy(CONFIG, session, ARGUMENTS, lambda _: 0) == 0


def test_a_protection_that_the_caller_may_not_lift_is_said_with_the_command_that_does(session: Session) -> None:
    session.has(protected=True, network=None, data=None, app="ROLLBACK_COMPLETE")
    session.account()
    session.stub.add_client_error("update_termination_protection", "AccessDenied", "not authorized")
    with pytest.raises(DeploymentError, match=r"--stack-name cache-aside-prod-app --no-enable-termination-protection"):
        deploy(CONFIG, session, ARGUMENTS, lambda _: pytest.fail("something was deployed"))


def test_what_cannot_be_found_out_is_no_first_deployment(session: Session) -> None:
    session.stub.add_client_error("describe_stacks", "AccessDenied", "not authorized")
    with pytest.raises(DeploymentError, match=r"cannot find out which stacks there are: .*not authorized"):
        unfinished(CONFIG, session)


def test_a_failed_creation_ends_the_command_and_says_how_to_go_on(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.has(network=None, data=None, app=None)
    session.account()
    ran: list[Sequence[str]] = []

    def fail(command: Sequence[str]) -> int:
        ran.append(command)
        return 3

    assert deploy(CONFIG, session, ARGUMENTS, fail) == 3
    assert ran == [first("Network", "Data", "App", creating="network,data,app")]
    assert "run the same\n`make deploy` again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"zones": 2}, r"this account has 2 zones in None: give -c network\.zones=2"),
        ({"classes": 0}, r"database\.instance_type=db\.r7g\.large cannot be had"),
        (
            {"executions": 200},
            r"reserves 105 Lambda executions .* has 200 left.* -c app\.reserved_concurrency=95 or -c app",
        ),
        ({"executions": 10}, r"has 10 left.* give -c app\.reserved_concurrency=none"),
    ],
)
def test_an_account_that_does_not_suffice_is_told_before_anything_is_created(
    session: Session, account: dict[str, int], message: str
) -> None:
    session.has(network=None, data=None, app=None)
    session.account(**account)
    with pytest.raises(DeploymentError, match=message):
        deploy(CONFIG, session, ARGUMENTS, lambda _: pytest.fail("something was deployed"))


def test_what_the_caller_may_not_ask_is_no_reason_not_to_deploy(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.has(network="UPDATE_COMPLETE", data="UPDATE_COMPLETE", app=None)
    session.stubs["lambda"].add_client_error("get_account_settings", "AccessDenied", "not authorized")
    assert deploy(CONFIG, session, ARGUMENTS, lambda _: 0) == 0
    assert "note: not checked before: " in capsys.readouterr().err


def test_reserved_executions_are_those_of_the_template(prod: Stage) -> None:
    functions = prod.resources("AWS::Lambda::Function").values()
    reserved = sum(function["Properties"].get("ReservedConcurrentExecutions", 0) for function in functions)
    assert reserved == 100 + HELPERS


def test_without_a_terminal_nothing_is_deployed_that_could_ask_for_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPROVAL", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(SystemExit, match=r"there is no terminal to ask on.*APPROVAL=never"):
        deployment.main(ARGUMENTS)
