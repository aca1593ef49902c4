"""One secret of Secrets Manager, with the rules of its versions and staging labels.

Source: API reference of GetSecretValue, PutSecretValue and UpdateSecretVersionStage.
"""

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

FIRST_VERSION = "ffffffff-ffff-4fff-8fff-ffffffffffff"
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:token-AbCdEf"


class AwsError(Exception):
    """What the service answers instead; the first argument is the code."""


@dataclass
class Version:
    """A value, or none yet, and the labels on it."""

    value: str | None
    labels: set[str] = field(default_factory=set)


class FakeSecret:
    """A secret whose first version is AWSCURRENT."""

    def __init__(self, token: str) -> None:
        self.versions = {FIRST_VERSION: Version(token, {"AWSCURRENT"})}

    def begin_rotation(self, version: str) -> None:
        """What Secrets Manager does before it calls the function: an AWSPENDING version without a value."""
        self._put_label("AWSPENDING", version)

    def abandon(self) -> None:
        """What an operator does to a rotation that will not be finished: AWSPENDING goes."""
        for version in self.versions.values():
            version.labels.discard("AWSPENDING")

    def value(self, label: str) -> str | None:
        """The token of the version that has the label."""
        return next((v.value for v in self.versions.values() if label in v.labels), None)

    def labels(self) -> list[str]:
        """All that are attached to any version."""
        return sorted(label for version in self.versions.values() for label in version.labels)

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """What the service would; AwsError."""
        if operation == "GetRandomPassword":
            assert (request["ExcludePunctuation"], request["IncludeSpace"]) == (True, False)
            letters = string.ascii_letters + string.digits
            return {"RandomPassword": "".join(secrets.choice(letters) for _ in range(request["PasswordLength"]))}
        if request["SecretId"] != ARN:
            raise AwsError("AccessDeniedException")
        match operation:
            case "DescribeSecret":
                labelled = {name: sorted(v.labels) for name, v in self.versions.items() if v.labels}
                return {"ARN": ARN, "VersionIdsToStages": labelled}
            case "GetSecretValue":
                return self._get(request)
            case "PutSecretValue":
                return self._put(request)
            case "UpdateSecretVersionStage":
                return self._update(request)
        raise AwsError("InvalidAction")

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        label = request.get("VersionStage", "AWSCURRENT")
        version = self.versions.get(request["VersionId"]) if "VersionId" in request else None
        value = version.value if version else None if "VersionId" in request else self.value(label)
        if value is None:
            raise AwsError("ResourceNotFoundException")
        return {"ARN": ARN, "SecretString": value}

    def _put(self, request: dict[str, Any]) -> dict[str, Any]:
        version = self.versions[request["ClientRequestToken"]]
        if version.value not in (None, request["SecretString"]):
            raise AwsError("ResourceExistsException")
        version.value = request["SecretString"]
        for label in request["VersionStages"]:
            self._put_label(label, request["ClientRequestToken"])
        return {"ARN": ARN, "VersionId": request["ClientRequestToken"]}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        label, given, taken = (request.get(key) for key in ("VersionStage", "MoveToVersionId", "RemoveFromVersionId"))
        holder = next((name for name, v in self.versions.items() if label in v.labels), None)
        if taken != holder and holder != given:
            raise AwsError("InvalidParameterException")
        if holder:
            self.versions[holder].labels.discard(str(label))
        if given:
            self._put_label(str(label), given)
        if label == "AWSCURRENT" and holder:
            self._put_label("AWSPREVIOUS", holder)
        return {"ARN": ARN}

    def _put_label(self, label: str, name: str) -> None:
        for version in self.versions.values():
            version.labels.discard(label)
        self.versions.setdefault(name, Version(None)).labels.add(label)
