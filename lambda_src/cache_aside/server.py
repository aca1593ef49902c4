"""Which server to talk to and how; what its answers and failures mean. Shared by the sync and the async client."""

import ssl
from collections.abc import Sequence
from typing import Any

import hiredis
import msgspec
import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from cache_aside.commands import Op
from cache_aside.credentials import Credentials

IDENTIFY: Op = ("INFO", "replication")
_pack: Any = hiredis.pack_command  # its stub knows only tuples of one


def pack(ops: Sequence[Op]) -> bytes:
    """The bytes of all commands, for one write."""
    return b"".join([_pack(op) for op in ops])


class NotPrimaryError(redis.RedisError):
    """The server became a replica while its connections stayed open: what it answers may be old."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A primary endpoint.

    Args:
        host: a DNS name; it is resolved at every connection, as a failover moves it.
        port: default 6379.
        credentials: what to authenticate with; None: the server asks for nothing.
        tls: a context that verifies the server; None: plain text.
        connect_timeout_seconds: default 0.2.
        read_timeout_seconds: per reply. Default 0.2.
        identity_seconds: a connection asks its server this often, in the same round trip as a command, whether it still
            is the primary and which replication history it serves. Default 1.
    """

    host: str
    port: int = 6379
    credentials: Credentials | None = None
    tls: ssl.SSLContext | None = None
    connect_timeout_seconds: float = 0.2
    read_timeout_seconds: float = 0.2
    identity_seconds: float = 1.0

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of a redis-py connection, sync or async.

        RESP2, because its handshake is one round trip shorter than RESP3's and hits are as fast; no retries, because
        the breaker decides; no maintenance notifications and no CLIENT SETINFO, which cost round trips.
        """
        return {
            "host": self.host,
            "port": self.port,
            "credential_provider": self.credentials,
            "socket_connect_timeout": self.connect_timeout_seconds,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "driver_info": None,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }

    @property
    def token(self) -> str | None:
        """The token that a connection opened now would send."""
        return self.credentials.token if self.credentials else None

    def refused(self, error: Exception, token: str | None) -> None:
        """If the server refused this token, read it anew for the next connection."""
        if self.credentials and isinstance(error, redis.AuthenticationError):
            self.credentials.reject(token)


class Identity(msgspec.Struct, frozen=True):
    """What INFO replication says: a new replication id means that acknowledged deletions may have been lost."""

    is_primary: bool
    replication_id: str
    replicas: int

    @classmethod
    def parse(cls, info: bytes) -> "Identity":
        """Source: https://valkey.io/commands/info, section replication."""
        fields = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
        return cls(fields["role"] == "master", fields["master_replid"], int(fields["connected_slaves"]))
