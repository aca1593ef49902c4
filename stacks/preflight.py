"""Refuse a deployment to another account, region or SQL engine than the stage's own, or into a rotation.

``python -m stacks.preflight -c stage=prod -c account=...`` prints where it goes if the caller's credentials and
region are the configured ones, the stage's database, if there is one, has the configured engine, and the cache takes
one AUTH token only. Else it fails with one clear error. `make deploy` asks it first.
"""

import argparse
import sys
from collections.abc import Sequence

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from stacks.settings import DEFAULT_STAGE, ConfigError, StageConfig, load

# The labels of lambda_src/functions/auth_token_rotation/secret.py; infrastructure knows that code by path only.
CURRENT, PENDING, TWO_TOKENS = "AWSCURRENT", "AWSPENDING", "CACHE_TWO_TOKENS"


class WrongTargetError(Exception):
    """The credentials, the region or the database at hand are not the stage's. The message names both."""


class RotationRunsError(Exception):
    """The cache may take two AUTH tokens. The message says what to wait for."""


def check(config: StageConfig, session: boto3.Session) -> str:
    """The ARN of the caller, who is in the right account and region.

    :raises WrongTargetError: if account or region are not configured, not the caller's, or cannot be found out
    """
    if config.account is None or config.region is None:
        raise WrongTargetError(
            f"stage {config.stage} does not say where to deploy to: set account and region in stacks/settings.py, "
            "or give -c account=... -c region=..."
        )
    if session.region_name != config.region:
        raise WrongTargetError(
            f"stage {config.stage} belongs to region {config.region}, but the session's region is "
            f"{session.region_name or 'not set'}: set AWS_REGION or choose another profile"
        )
    try:
        identity = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise WrongTargetError(f"cannot find out who is calling: {error}") from error
    if identity["Account"] != config.account:
        raise WrongTargetError(
            f"stage {config.stage} belongs to account {config.account}, but the caller is {identity['Arn']} "
            f"in account {identity['Account']}: choose another profile"
        )
    return identity["Arn"]


def check_engine(config: StageConfig, session: boto3.Session) -> None:
    """Nothing, unless the stage has a database of another engine: see docs/decisions/database-engine.md.

    :raises WrongTargetError: if it has, or if that cannot be found out
    """
    rds = session.client("rds")
    try:
        (database,) = rds.describe_db_instances(DBInstanceIdentifier=config.name)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault:
        return
    except (BotoCoreError, ClientError) as error:
        raise WrongTargetError(f"cannot find out which engine the database has: {error}") from error
    if (deployed := database["Engine"]) != config.database.engine:
        raise WrongTargetError(
            f"the database of stage {config.stage} is {deployed}, not {config.database.engine}, and stays what it is: "
            f"give -c database.engine={deployed}"
        )


def check_rotation(config: StageConfig, session: boto3.Session) -> None:
    """Return if no rotation of the AUTH token is under way, and so if there is no stage yet.

    Whenever CloudFormation changes the replication group, it reads the secret and may send what it finds, with the
    strategy ROTATE. During a rotation that can be the token that is about to go, or remove the one that is to stay.

    :raises RotationRunsError: if two tokens may be in use, or if that cannot be found out
    """
    try:
        arn = _auth_token_secret(session, config.stack_name("data"))
        found = session.client("secretsmanager").describe_secret(SecretId=arn)["VersionIdsToStages"] if arn else {}
    except (BotoCoreError, ClientError) as error:
        raise RotationRunsError(f"cannot find out whether the AUTH token is being rotated: {error}") from error
    for labels in found.values():
        if TWO_TOKENS in labels or (PENDING in labels and CURRENT not in labels):
            raise RotationRunsError(
                f"the AUTH token of stage {config.stage} is being rotated (labels {', '.join(sorted(labels))}), and a "
                "change of the cache could send a token that is about to go: try again when it is done, about half an "
                "hour after it began; see docs/rotation.md"
            )


def old_token_opens(config: StageConfig, session: boto3.Session) -> str | None:
    """A warning while the former AUTH token may log in to a cache that was moved to users; else None.

    The token is the password of the user ``default`` until a person does step 4 of docs/token-to-iam.md.
    """
    if config.cache.auth != "moved-to-iam":
        return None
    elasticache = session.client("elasticache")
    try:
        (group,) = elasticache.describe_user_groups(UserGroupId=config.name)["UserGroups"]
        users = [elasticache.describe_users(UserId=user)["Users"][0] for user in group["UserIds"]]
    except (BotoCoreError, ClientError) as error:
        return f"cannot find out whether the old AUTH token still opens the cache: {error}"
    if any(user["UserName"] == "default" and user["AccessString"].split()[0] == "on" for user in users):
        return "the old AUTH token still opens the cache, as the user default: do step 4 of docs/token-to-iam.md"
    return None


def _auth_token_secret(session: boto3.Session, stack_name: str) -> str | None:
    """What the deployed stack says; None without a stack."""
    try:
        (stack,) = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    return outputs.get("AuthTokenSecretArn")


def context_of(arguments: Sequence[str] | None) -> dict[str, str]:
    """What ``-c KEY=VALUE`` gives: the stage and its settings."""
    parser = argparse.ArgumentParser(prog="stacks.preflight", description=__doc__)
    parser.add_argument("-c", "--context", action="append", default=[], metavar="KEY=VALUE", help="stage or a setting")
    return dict(_pair(text) for text in parser.parse_args(arguments).context)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check what the command line names, with the same ``-c KEY=VALUE`` that the CDK CLI takes."""
    overrides = context_of(arguments)
    try:
        config = load(overrides.pop("stage", DEFAULT_STAGE), overrides)
        session = boto3.Session()
        caller = check(config, session)
        check_engine(config, session)
        check_rotation(config, session)
        if warning := old_token_opens(config, session):
            sys.stderr.write(f"warning: {warning}\n")
    except (ConfigError, WrongTargetError, RotationRunsError) as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"deploying stage {config.stage} to {config.account} in {config.region} as {caller}\n")


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


if __name__ == "__main__":
    main()
