"""What an event asks for.

Contract: "Lambda rotation functions", AWS Secrets Manager User Guide. If a step fails, Secrets Manager begins again
with the first one, for the same version, several times.
"""

import logging
import time
from typing import Any, Protocol

import boto3
from botocore.config import Config

from functions.auth_token_rotation.errors import RotationError
from functions.auth_token_rotation.group import ReplicationGroup
from functions.auth_token_rotation.login import is_accepted
from functions.auth_token_rotation.rotation import Rotation
from functions.auth_token_rotation.secret import CURRENT, PENDING, Secret
from functions.auth_token_rotation.settings import Settings

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

_MARGIN_SECONDS = 20.0  # for what is left to do when the group is available: a few calls
_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})


class Context(Protocol):
    """What is used of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends the function."""


class Function:
    """Answers events. `poll_seconds` pass between two looks at a group that is being modified."""

    def __init__(self, settings: Settings, session: boto3.Session, *, poll_seconds: float = 5) -> None:
        self._secret = Secret(session.client("secretsmanager", config=_CONFIG), settings.secret_arn)
        elasticache = session.client("elasticache", config=_CONFIG)
        self._rotation = Rotation(
            self._secret,
            ReplicationGroup(elasticache, settings.replication_group_id, poll_seconds=poll_seconds),
            lambda token: is_accepted(settings.cache, token),
            drain_seconds=settings.drain_seconds,
        )

    def __call__(self, event: dict[str, Any], context: Context) -> dict[str, str]:
        """Does one step, or settles; says how it stands then. RotationError: to be repeated."""
        deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
        state = self._rotation.settle(deadline) if event.get("settle") is True else self._step(event, deadline)
        logger.info("%s", {"step": event.get("Step", "settle"), "state": state})
        return {"state": state}

    def _step(self, event: dict[str, Any], deadline: float) -> str:
        step, version = event["Step"], event["ClientRequestToken"]
        if event["SecretId"] != self._secret.arn:
            raise RotationError("this function rotates another secret")
        labels = self._secret.labels()
        found = labels.by_version.get(version, ())
        if CURRENT in found and step != "finishSecret":
            return "done before"
        if PENDING not in found and CURRENT not in found:
            raise RotationError(f"the version {version} is neither {PENDING} nor {CURRENT}")
        match step:
            case "createSecret":
                self._rotation.create_secret(version)
            case "setSecret":
                self._rotation.set_secret(version, labels, deadline)
            case "testSecret":
                self._rotation.test_secret(version, labels, deadline)
            case "finishSecret":
                self._rotation.finish_secret(version, labels)
            case _:
                raise RotationError(f"unknown step {step!r}")
        return "done"
