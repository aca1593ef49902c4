"""What a client may cost and do; the same for the sync and the async one."""

import ssl
from collections.abc import Callable

import msgspec

from cache_aside.breaker import Breaker
from cache_aside.credentials import Credentials
from cache_aside.server import Server


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a client, each with a default for the request path of a web service.

    Args:
        connect_timeout_seconds: for TCP, and again for TLS and AUTH. Default 0.2.
        read_timeout_seconds: for each reply. Default 0.2.
        probe_interval_seconds: how soon a recovered cache is used again. Default 0.25.
        probe_timeout_seconds: what the request that probes may lose by it, for each step. Default 0.05.
        invalidation_seconds: how long an invalidation is tried before it is pending. Default 1.
        bypass_concurrency: how many loads may go past the cache at once. Default 32.
        bypass_wait_seconds: how long a reader waits for a place among them, before OverloadedError. Default 0.25.
        retry_after_seconds: what OverloadedError suggests. Default 1.
        background: whether this process may do work that no request waits for: early refreshes, loads that a soft
            timeout has left, probes. Never under Lambda: a frozen environment would hold the load's transaction open.
            Default False.
        background_workers: how many such loads at once (threads, in the sync client). Default 4.
        connections: the most connections of an async client; a sync one has one a thread. Default 16.
    """

    connect_timeout_seconds: float = 0.2
    read_timeout_seconds: float = 0.2
    probe_interval_seconds: float = 0.25
    probe_timeout_seconds: float = 0.05
    invalidation_seconds: float = 1.0
    bypass_concurrency: int = 32
    bypass_wait_seconds: float = 0.25
    retry_after_seconds: int = 1
    background: bool = False
    background_workers: int = 4
    connections: int = 16

    def server(self, host: str, port: int, auth_token: "AuthToken", tls: "bool | ssl.SSLContext") -> Server:
        """The endpoint with these timeouts."""
        return Server(
            host=host,
            port=port,
            credentials=_credentials(auth_token),
            tls=ssl.create_default_context() if tls is True else (tls or None),
            connect_timeout_seconds=self.connect_timeout_seconds,
            read_timeout_seconds=self.read_timeout_seconds,
        )

    def breaker(self) -> Breaker:
        """A closed circuit."""
        return Breaker(self.probe_interval_seconds, self.probe_timeout_seconds)


AuthToken = str | Callable[[], str] | Credentials | None
DEFAULTS = Options()


def _credentials(auth_token: AuthToken) -> Credentials | None:
    if auth_token is None or isinstance(auth_token, Credentials):
        return auth_token
    return Credentials(lambda: auth_token) if isinstance(auth_token, str) else Credentials(auth_token)
