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
        self._admin, self._asking = (self._connect(_ADMIN, _ADMIN_PASSWORD) for _ in range(2))

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return self._valkey.endpoint

    def take_only(self, tokens: list[str]) -> None:
        """Each of these from now on, and no other."""
        self._admin.acl_setuser(
            "default",
            enabled=True,
            reset_passwords=True,
            passwords=[f"+{token}" for token in tokens],
            commands=["+@all"],
            keys=["*"],
        )

    def give_user(self, name: str, rights: str) -> None:
        """Another user with these rights, whom any password lets in: the server cannot check what IAM signs."""
        self._admin.execute_command("ACL", "SETUSER", name, "reset", *rights.split(), "nopass")  # type: ignore[no-untyped-call]

    def disable_default(self) -> None:
        """Nobody logs in with a token any more."""
        self._admin.acl_setuser("default", enabled=False, reset_passwords=True, commands=["-@all"])

    def users(self) -> set[str]:
        """Who is connected, besides the control plane: `default` is also who has not logged in yet."""
        return {str(client["user"]) for client in self._admin.client_list()} - {_ADMIN}

    def hang_up_on(self, name: str) -> None:
        """End all connections of a user."""
        self._admin.execute_command("CLIENT", "KILL", "USER", name)  # type: ignore[no-untyped-call]

    def takes(self, token: str) -> bool:
        """Whether AUTH with the token succeeds now, on a connection of the control plane's."""
        try:
            return bool(self._asking.auth(token, "default"))
        except redis.AuthenticationError:
            return False

    def close(self) -> None:
        """Hang up."""
        self._admin.close()
        self._asking.close()

    def _connect(self, username: str, password: str) -> redis.Redis:
        return redis.Redis(
            port=self._valkey.port,
            username=username,
            password=password,
            ssl=True,
            ssl_ca_certs=self.ca_file,
            socket_timeout=10,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
        )
