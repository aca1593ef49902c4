"""A real Valkey whose tokens the control plane of the tests changes, as ElastiCache changes those of its nodes."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from local.engines import Valkey

_ADMIN = "control-plane"
_ADMIN_PASSWORD = "the-control-plane-of-these-tests"


class ServerWithTokens:
    """Which tokens the server's default user may present; who is connected stays so."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self.ca_file = str(valkey.certificates.ca_file)
        with self._connect("default", valkey.auth_token) as first:
            first.acl_setuser(_ADMIN, enabled=True, passwords=[f"+{_ADMIN_PASSWORD}"], commands=["+@all"], keys=["*"])

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return self._valkey.endpoint

    def take_only(self, tokens: list[str]) -> None:
        """Each of these from now on, and no other."""
        with self._connect(_ADMIN, _ADMIN_PASSWORD) as admin:
            admin.acl_setuser(
                "default",
                enabled=True,
                reset_passwords=True,
                passwords=[f"+{token}" for token in tokens],
                commands=["+@all"],
                keys=["*"],
            )

    def takes(self, token: str) -> bool:
        """Whether a new connection with the token is let in."""
        try:
            with self._connect("default", token) as connection:
                return bool(connection.ping())
        except redis.AuthenticationError:
            return False

    def _connect(self, username: str, password: str) -> redis.Redis:
        return redis.Redis(
            port=self._valkey.port,
            username=username,
            password=password,
            ssl=True,
            ssl_ca_certs=self.ca_file,
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
        )
