"""What the deployment tells the app, in environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from storefront.endpoints import Endpoint, parse_endpoint
from storefront.engines import DEFAULT_PORTS, Engine, engine_of


class SettingsError(Exception):
    """An environment variable is missing or malformed; the message names it."""


@dataclass(frozen=True)
class AuthToken:
    """The cache asks for the token that is this secret."""

    secret_arn: str


@dataclass(frozen=True)
class CacheUser:
    """The cache knows users, this one by IAM tokens for its replication group."""

    name: str
    replication_group_id: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where cache and database are and how to log in.

    `cache_timeout_seconds` bounds each step of talking to the cache.
    `relay_period_seconds` is the longest that may pass before the deletions that did not reach the cache are repeated;
    default 120: EventBridge runs the relay each minute, at any moment of that minute.
    `database_password` is for local use; None: IAM tokens. `region` is where tokens are signed for.
    """

    cache: Endpoint
    cache_timeout_seconds: float = 0.2
    cache_login: AuthToken | CacheUser
    engine: Engine = "postgres"
    database: Endpoint
    database_name: str
    database_user: str
    database_password: str | None = field(default=None, repr=False)
    region: str
    relay_period_seconds: int = 120

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the variables; opens no connection. SettingsError for the first that is missing or malformed."""
        password, engine = environment.get("RDS_PASSWORD"), _engine(environment)
        cache, login = _endpoint(environment, "ELASTICACHE_ENDPOINT", 6379), _cache_login(environment)
        signs = not password or isinstance(login, CacheUser)
        return cls(
            cache=cache,
            cache_login=login,
            engine=engine,
            database=_endpoint(environment, "RDS_ENDPOINT", DEFAULT_PORTS[engine]),
            database_name=_text(environment, "RDS_DB_NAME"),
            database_user=_text(environment, "RDS_USER"),
            database_password=password,
            region=_text(environment, "AWS_REGION") if signs else environment.get("AWS_REGION", ""),
            relay_period_seconds=_seconds(environment, "RELAY_PERIOD_SECONDS", 120),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise SettingsError(f"the environment variable {name} is not set")


def _cache_login(environment: Mapping[str, str]) -> AuthToken | CacheUser:
    secret, user, group = "ELASTICACHE_AUTH_SECRET_ARN", "ELASTICACHE_USER", "ELASTICACHE_REPLICATION_GROUP_ID"
    by_user = bool(environment.get(user) or environment.get(group))
    if bool(environment.get(secret)) == by_user:
        raise SettingsError(
            f"set either {secret}, or {user} and {group}: {'both are' if by_user else 'neither is'} set"
        )
    if by_user:
        return CacheUser(_text(environment, user), _text(environment, group))
    return AuthToken(_text(environment, secret))


def _engine(environment: Mapping[str, str]) -> Engine:
    try:
        return engine_of(environment)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _seconds(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{name}: expected whole seconds, at least 1, got {text!r}")
    return int(text)


def _endpoint(environment: Mapping[str, str], name: str, default_port: int) -> Endpoint:
    try:
        return parse_endpoint(_text(environment, name), default_port=default_port)
    except ValueError as error:
        raise SettingsError(f"{name}: {error}") from None
