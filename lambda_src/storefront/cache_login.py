"""How the functions log in to the cache: with its AUTH token, or as its user with an IAM token."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cache_aside import Credentials
from storefront.credentials import cache_token, read_secret

_TOKEN_SECONDS = 10 * 60
_CONNECTION_SECONDS = 11 * 3600


@dataclass(frozen=True)
class AuthToken:
    """The cache asks for the token that is this secret."""

    secret_arn: str


@dataclass(frozen=True)
class CacheUser:
    """The cache knows users, this one by IAM tokens for its replication group."""

    name: str
    replication_group_id: str


CacheLogin = AuthToken | CacheUser


def cache_login(environment: Mapping[str, str]) -> CacheLogin:
    """What the deployment says. ValueError when it says nothing, or both."""
    secret, user, group = "ELASTICACHE_AUTH_SECRET_ARN", "ELASTICACHE_USER", "ELASTICACHE_REPLICATION_GROUP_ID"
    arn, name, group_id = (environment.get(variable) for variable in (secret, user, group))
    if arn and not (name or group_id):
        return AuthToken(arn)
    if name and group_id and not arn:
        return CacheUser(name, group_id)
    given = ", ".join(variable for variable in (secret, user, group) if environment.get(variable))
    raise ValueError(f"set either {secret}, or {user} and {group}; set: {given or 'none of them'}")


def cache_credentials(login: CacheLogin, region: str, clock: Callable[[], float] = time.monotonic) -> Credentials:
    """What the cache is given. AWS lets an IAM token authenticate for 15 minutes and then the connection for 12 hours.

    (ElastiCache User Guide, "Authenticating with IAM".) An AUTH token is good until the cache refuses it.
    """
    if isinstance(login, AuthToken):
        return Credentials(lambda: read_secret(login.secret_arn), clock)
    return Credentials(
        lambda: cache_token(login.replication_group_id, user=login.name, region=region),
        clock,
        username=login.name,
        token_seconds=_TOKEN_SECONDS,
        connection_seconds=_CONNECTION_SECONDS,
    )
