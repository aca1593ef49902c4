"""`make deploy`: the CDK CLI, in a way that lets a first deployment fail and be repeated.

A stack that is created runs without rollback, and it, its database and its load balancer can still be deleted: what
fails is repeated by the next `make deploy`, which goes on where this one stopped. It deploys the stacks before that one
as well, since the cause may be in them. As soon as every stack exists, a last run turns deletion protection on. From
then on a deployment that fails is rolled back, as usual.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from typing import Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from stacks.account import problems
from stacks.preflight import context_of
from stacks.settings import DEFAULT_STAGE, ConfigError, StageConfig, load

# What a stack is in before its first success.
UNFINISHED = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS")
# A repeated creation that failed, or somebody's update without rollback: only the second has a protected stack.
REPEATED = "UPDATE_FAILED"
Stack = Literal["network", "data", "app"]
_STACKS: Mapping[str, str] = {"network": "Network", "data": "Data", "app": "App"}
FAILED = """
error: the first deployment failed; the reason is above. Nothing was rolled back. Remove the cause and run the same
`make deploy` again: it goes on where this one stopped. docs/first-deployment.md has the causes that are known.
"""
NO_TERMINAL = (
    "error: a deployment that widens permissions asks for approval, and there is no terminal to ask on: run it in one, "
    "or review the output of `make diff` and give APPROVAL=never"
)


class DeploymentError(Exception):
    """It cannot be found out which stacks there are, or the account does not suffice for a new one."""


def unfinished(config: StageConfig, session: boto3.Session) -> dict[Stack, bool]:
    """The stacks of the stage that were never deployed with success: ``network``, ``data``, ``app``, in that order.

    :returns: for each, whether its deletion is refused, which is how the CDK CLI begins after a rollback
    :raises DeploymentError: if AWS does not say
    """
    formation = session.client("cloudformation")
    found: dict[Stack, bool] = {}
    stacks: tuple[Stack, ...] = ("network", "data", "app")
    for stack in stacks:
        try:
            (described,) = formation.describe_stacks(StackName=config.stack_name(stack))["Stacks"]
        except (BotoCoreError, ClientError) as error:
            if "does not exist" not in str(error):
                raise DeploymentError(f"cannot find out which stacks there are: {error}") from error
            found[stack] = False
            continue
        status, protected = described["StackStatus"], described.get("EnableTerminationProtection", False)
        if status in UNFINISHED or (status == REPEATED and not protected):
            found[stack] = protected and status.startswith("ROLLBACK_")
    return found


def commands(creating: Collection[str], arguments: Sequence[str]) -> list[list[str]]:
    """The calls of the CDK CLI, each after the success of the one before it.

    :param creating: what `unfinished` found
    :param arguments: of the CDK CLI, ``-c KEY=VALUE`` and others
    """
    deploy = ["npx", "cdk", "deploy"]
    calls = []
    waiting = set(creating)
    for created, stacks in groupby(_STACKS, lambda stack: stack in creating):
        if not waiting:
            break
        group = list(stacks)
        waiting.difference_update(group)
        names, without = (_STACKS[stack] for stack in group), ["--no-rollback"] if created else []
        calls.append([*deploy, *names, "--exclusively", *without, *arguments, "-c", f"creating={','.join(creating)}"])
    return [*calls, [*deploy, "--all", *arguments]]


def _let_be_deleted(config: StageConfig, session: boto3.Session, creating: Mapping[Stack, bool]) -> None:
    """Lift the protection of stacks that were rolled back: the CDK CLI deletes them before it creates them again."""
    formation = session.client("cloudformation")
    for stack, refused in creating.items():
        name = config.stack_name(stack)
        try:
            if refused:
                formation.update_termination_protection(StackName=name, EnableTerminationProtection=False)
        except (BotoCoreError, ClientError) as error:
            raise DeploymentError(
                f"stack {name} was rolled back and must be deleted, which its termination protection refuses. Run: aws "
                f"cloudformation update-termination-protection --stack-name {name} --no-enable-termination-protection "
                f"({error})"
            ) from error


def deploy(
    config: StageConfig,
    session: boto3.Session,
    arguments: Sequence[str],
    run: Callable[[Sequence[str]], int] = lambda command: subprocess.run(command, check=False).returncode,  # noqa: S603
) -> int:
    """Deploy the stage; the exit code of the command that failed, or 0.

    :raises DeploymentError: if AWS does not say what there is, or the account does not suffice for it

    :param run: runs one command and returns its exit code. Default: as a child that has this terminal
    """
    creating = unfinished(config, session)
    said = list(problems(config, session, creating))
    sys.stderr.writelines(f"{line}\n" for line in said if line.startswith("note:"))
    if wrong := [line for line in said if not line.startswith("note:")]:
        raise DeploymentError("\nerror: ".join(wrong))
    _let_be_deleted(config, session, creating)
    for command in commands(creating, arguments):
        if code := run(command):
            if "--no-rollback" in command:
                sys.stderr.write(FAILED)
            return code
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Deploy what the command line names, with the same ``-c KEY=VALUE`` that the CDK CLI takes."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    approval = os.environ.get("APPROVAL")
    if not approval and not sys.stdin.isatty():
        sys.exit(NO_TERMINAL)
    overrides = context_of(given)
    try:
        config = load(overrides.pop("stage", DEFAULT_STAGE), overrides)
        sys.exit(deploy(config, boto3.Session(), [*given, *(["--require-approval", approval] if approval else [])]))
    except (ConfigError, DeploymentError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
