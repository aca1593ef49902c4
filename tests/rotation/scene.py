"""Secrets Manager's and EventBridge's part in a rotation, and crashes of the function in between."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3

from functions.auth_token_rotation.errors import RotationError
from functions.auth_token_rotation.function import Function
from functions.auth_token_rotation.settings import Settings
from storefront.endpoints import parse_endpoint
from tests.rotation.fake_aws import FakeAws
from tests.rotation.fake_group import GROUP, FakeGroup
from tests.rotation.fake_secret import ARN, FakeSecret
from tests.rotation.server_with_tokens import ServerWithTokens

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
FIRST_TOKEN = "the-token-that-the-group-was-created-with"
_ATTEMPTS = 8  # Secrets Manager does not say how many; more than any test needs


_listeners: list[Callable[[Any], None]] = []


@cache
def _session() -> boto3.Session:
    """One for all scenes: to read the models of the services takes longer than a rotation."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
    session.events.register("after-call.*.*", _tell)
    return session


def _tell(model: Any, **_: object) -> None:
    for listener in _listeners:
        listener(model)


class Crash(BaseException):
    """The function's process ends, after a call had its effect and before its answer arrived."""


class Time:
    """Lambda's context of a function with plenty of time, or with `seconds`."""

    def __init__(self, seconds: float = 600) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        """As Lambda says it."""
        return int(self._seconds * 1000)


@dataclass
class Scene:
    """The function, and what it works on, with every token as when the group was created.

    `calls` are the API calls that had their effect; after the one with the number `crash_at`, counted from 0, the
    function crashes, once. `errors` are those that it ended with.
    """

    aws: FakeAws
    server: ServerWithTokens
    drain_seconds: int = 0
    modification_seconds: float = 0
    calls: list[str] = field(default_factory=list)
    crash_at: int | None = None
    errors: list[BaseException] = field(default_factory=list)
    function: Function = field(init=False)
    _numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.aws.secret = FakeSecret(FIRST_TOKEN)
        self.aws.group = FakeGroup(self.server, FIRST_TOKEN, seconds=self.modification_seconds)
        self.aws.broken.clear()
        self.aws.refused.clear()
        _listeners[:] = [self._after_call]
        settings = Settings(
            cache=parse_endpoint(self.server.endpoint, default_port=6379),
            secret_arn=ARN,
            replication_group_id=GROUP,
            drain_seconds=self.drain_seconds,
        )
        self.function = Function(settings, _session(), poll_seconds=0.01)

    def step(self, step: str, version: str, *, seconds: float = 600) -> dict[str, str]:
        """One step, as Secrets Manager asks for it."""
        event = {"Step": step, "SecretId": ARN, "ClientRequestToken": version, "RotationToken": "unused"}
        return self.function(event, Time(seconds))

    def settle(self) -> str:
        """One event of EventBridge."""
        return self.function({"settle": True}, Time())["state"]

    def settle_at_last(self) -> None:
        """Events until there is nothing left to do."""
        for _ in range(_ATTEMPTS):
            if self._survived(self.settle) == "settled":
                return
        raise AssertionError(f"never settled: {self.errors}")

    def begin(self) -> str:
        """A new pending version."""
        version = f"00000000-0000-4000-8000-{next(self._numbers):012}"
        self.aws.secret.begin_rotation(version)
        return version

    def rotate(self, version: str | None = None) -> None:
        """A whole rotation; one that fails is begun again with its first step, for the same version."""
        version = version or self.begin()
        for _ in range(_ATTEMPTS):
            if all(self._survived(lambda: self.step(step, version)) for step in STEPS):  # noqa: B023 - called at once
                return
        raise AssertionError(f"Secrets Manager gives up: {self.errors[-1]}")

    def current(self) -> str:
        """AWSCURRENT's token."""
        token = self.aws.secret.value("AWSCURRENT")
        assert token
        return token

    def _survived(self, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except (Crash, RotationError) as error:
            self.errors.append(error)
            return None

    def _after_call(self, model: Any) -> None:
        self.calls.append(model.name)
        if self.crash_at == len(self.calls) - 1:
            raise Crash(model.name)
