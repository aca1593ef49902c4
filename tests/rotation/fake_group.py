"""One replication group of ElastiCache, whose nodes are a real Valkey.

Source: "Authenticating with the Valkey and Redis OSS AUTH command", ElastiCache User Guide.
"""

import time

from tests.rotation.fake_secret import AwsError
from tests.rotation.server_with_tokens import ServerWithTokens

GROUP = "cache"


class FakeGroup:
    """A modification takes `seconds`, and ends when somebody then looks, not for the first time."""

    def __init__(self, server: ServerWithTokens, token: str, *, seconds: float = 0) -> None:
        self.server = server
        self.seconds = seconds
        self.tokens = [token]
        self.status = "available"
        self._coming: list[str] | None = None
        self._looked = False
        self._ready_at = 0.0
        server.take_only(self.tokens)

    def modify(self, group: str, token: str, strategy: str) -> None:
        """ROTATE keeps the newest beside the new one; SET keeps one of two. AwsError."""
        if group != GROUP:
            raise AwsError("ReplicationGroupNotFoundFault")
        if self.status != "available" or self._coming is not None:
            raise AwsError("InvalidReplicationGroupState")
        if strategy == "SET" and (len(self.tokens) < 2 or token not in self.tokens):
            raise AwsError("InvalidParameterCombination")
        self._coming = [token] if strategy == "SET" else [*self.tokens, token][-2:]
        self._looked = False
        self._ready_at = time.monotonic() + self.seconds

    def look(self) -> tuple[str, bool]:
        """The status, and whether a token is being changed."""
        if self._coming is None:
            return self.status, False
        if self._looked and time.monotonic() >= self._ready_at:
            self.tokens, self._coming = self._coming, None
            self.server.take_only(self.tokens)
            return self.status, False
        self._looked = True
        return "modifying", True

    def forget_modification(self) -> None:
        """It fails inside of ElastiCache, which says nothing."""
        self._coming = None
