"""What a failed round trip means: try again, go past the cache, or only past this command."""

from collections.abc import Sequence

import redis

from cache_aside.commands import Op
from cache_aside.server import NotPrimaryError, Server

_READS = frozenset({"GET", "MGET", "INFO"})


class Attempts:
    """Which failures of a round trip a new connection may make good at once, each kind once.

    A server that answered READONLY or refused the token has done nothing, so anything may be repeated. A connection
    that broke after it had been idle is replaced for reads alone: a lease or a fill that was sent may still arrive.
    """

    def __init__(self, server: Server, ops: Sequence[Op]) -> None:
        self._server = server
        self._only_reads = all(op[0] in _READS for op in ops)
        self._made_good: set[str] = set()
        self._reused = False
        self._token: str | None = None

    def begin(self, *, reused: bool) -> None:
        """Before an attempt: whether it uses a connection that exists."""
        self._reused, self._token = reused, self._server.token

    def another(self, error: redis.RedisError) -> bool:
        """Whether to try again on a new connection."""
        self._server.refused(error, self._token)
        if isinstance(error, redis.AuthenticationError):
            kind = "token"
        elif isinstance(error, redis.exceptions.ReadOnlyError | NotPrimaryError):
            kind = "replica"
        elif isinstance(error, redis.ConnectionError) and self._reused and self._only_reads:
            kind = "idle"
        else:
            return False
        again = kind not in self._made_good
        self._made_good.add(kind)
        return again


def is_outage(error: Exception) -> bool:
    """Whether the server as a whole is of no use now, or only this command failed."""
    return not isinstance(error, redis.ResponseError) or isinstance(error, redis.exceptions.ReadOnlyError)
