"""The versions of the secret, and the staging labels that say what each of them is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.auth_token_rotation.errors import without_values

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
TWO_TOKENS = "CACHE_TWO_TOKENS"
"""On the version whose token was, or is about to be, added to the cache beside another one."""
DRAINING_SINCE = "CACHE_DRAINING_SINCE_"
"""And the Unix time of it: since when clients can read the token that will be the only one."""

TOKEN_LENGTH = 64  # as constructs_lib/cache/auth_token.py makes the first one


@dataclass(frozen=True)
class Labels:
    """The staging labels at one moment."""

    by_version: Mapping[str, Sequence[str]]

    def holder(self, label: str) -> str | None:
        """The version that carries the label; a label is on one version at most."""
        return next((version for version, labels in self.by_version.items() if label in labels), None)

    def drains(self, version: str) -> list[str]:
        """The labels of the version that say since when it drains."""
        return [label for label in self.by_version.get(version, ()) if label.startswith(DRAINING_SINCE)]

    def draining_since(self, version: str) -> int | None:
        """Unix time; None: nobody has noted it yet."""
        return max((int(label.removeprefix(DRAINING_SINCE)) for label in self.drains(version)), default=None)


class Secret:
    """One secret, whose string is the token itself."""

    def __init__(self, client: "SecretsManagerClient", arn: str) -> None:
        self._client = client
        self.arn = arn

    def labels(self) -> Labels:
        """As they are now. RotationError."""
        with without_values("DescribeSecret"):
            return Labels(self._client.describe_secret(SecretId=self.arn)["VersionIdsToStages"])

    def token(self, version: str) -> str | None:
        """The token of a version; None for one that was announced and never given a value. RotationError."""
        with without_values("GetSecretValue"):
            try:
                return self._client.get_secret_value(SecretId=self.arn, VersionId=version)["SecretString"]
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                return None

    def generate(self, version: str) -> None:
        """Give the pending version a token of letters and digits, all of which ElastiCache takes. RotationError."""
        with without_values("GetRandomPassword"):
            token = self._client.get_random_password(
                PasswordLength=TOKEN_LENGTH, ExcludePunctuation=True, IncludeSpace=False
            )["RandomPassword"]
        with without_values("PutSecretValue"):
            self._client.put_secret_value(
                SecretId=self.arn, ClientRequestToken=version, SecretString=token, VersionStages=[PENDING]
            )

    def attach(self, label: str, version: str, *, holder: str | None = None) -> None:
        """Put a label on a version and take it from its holder, in one call. RotationError."""
        given_up = {"RemoveFromVersionId": holder} if holder else {}
        with without_values("UpdateSecretVersionStage"):
            self._client.update_secret_version_stage(
                SecretId=self.arn, VersionStage=label, MoveToVersionId=version, **given_up
            )

    def detach(self, label: str, version: str) -> None:
        """Take a label from a version. RotationError."""
        with without_values("UpdateSecretVersionStage"):
            self._client.update_secret_version_stage(SecretId=self.arn, VersionStage=label, RemoveFromVersionId=version)
