"""The replication group's control plane: which tokens the nodes take.

Source: "Authenticating with the Valkey and Redis OSS AUTH command", ElastiCache User Guide. ROTATE adds a token and
removes the oldest where there were two; SET, allowed only after ROTATE, leaves one. Both take effect while the group is
"modifying".
"""

import time
from typing import TYPE_CHECKING, Literal

from functions.auth_token_rotation.errors import GroupBusyError, without_values

if TYPE_CHECKING:
    from mypy_boto3_elasticache import ElastiCacheClient

AVAILABLE, MODIFYING = "available", "modifying"


class ReplicationGroup:
    """One group.

    `poll_seconds` pass between two looks at a group that is being modified.
    """

    def __init__(self, client: "ElastiCacheClient", group_id: str, *, poll_seconds: float = 5) -> None:
        self._client = client
        self._id = group_id
        self._poll_seconds = poll_seconds

    def wait_available(self, deadline: float) -> None:
        """Wait for a modification to end, until `deadline` (time.monotonic) at most.

        GroupBusyError then, and at once for a group that is neither available nor modifying: a snapshot or a creation
        takes longer than a function lives. RotationError when AWS does not answer.
        """
        while (status := self._status()) != AVAILABLE:
            if status != MODIFYING or time.monotonic() + self._poll_seconds > deadline:
                raise GroupBusyError(f"the replication group {self._id} is {status}: to be tried again later")
            time.sleep(self._poll_seconds)

    def add_token(self, token: str) -> None:
        """ROTATE: the token works beside the newest of those before. RotationError."""
        self._modify(token, "ROTATE")

    def keep_only(self, token: str) -> None:
        """SET: of two tokens this one stays. RotationError."""
        self._modify(token, "SET")

    def _status(self) -> str:
        with without_values("DescribeReplicationGroups"):
            (group,) = self._client.describe_replication_groups(ReplicationGroupId=self._id)["ReplicationGroups"]
        return MODIFYING if "AuthTokenStatus" in group.get("PendingModifiedValues", {}) else group["Status"]

    def _modify(self, token: str, strategy: Literal["ROTATE", "SET"]) -> None:
        with without_values(f"ModifyReplicationGroup {strategy}"):
            self._client.modify_replication_group(
                ReplicationGroupId=self._id,
                AuthToken=token,
                AuthTokenUpdateStrategy=strategy,
                ApplyImmediately=True,
            )
