"""What the deployment tells the app, in environment variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from storefront.cache_login import CacheLogin, CacheUser, cache_login
from storefront.endpoints import Endpoint, endpoint_of
from storefront.engines import DEFAULT_PORTS, Engine, engine_of
from storefront.passwords import LOG2_COST

T = TypeVar("T")


class SettingsError(Exception):
    """An environment variable is missing or malformed; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where cache and database are and how to log in.

    `cache_timeout_seconds` bounds each step of talking to the cache.
    `relay_period_seconds` is the longest that may pass before the deletions that did not reach the cache are repeated;
    default 120: EventBridge runs the relay each minute, at any moment of that minute.
    `metric_namespace` is where the functions' metrics go; another one for each stage, so that no alarm hears of another
    stage. Default CacheAside.
    `password_log2_cost` is that of new password hashes; the environment has no say in it.
    `database_password` is for local use; None: IAM tokens. `region` is where tokens are signed for.
    """

    cache: Endpoint
    cache_timeout_seconds: float = 0.2
    cache_login: CacheLogin
    engine: Engine = "postgres"
    database: Endpoint
    database_name: str
    database_user: str
    database_password: str | None = field(default=None, repr=False)
    region: str
    relay_period_seconds: int = 120
    metric_namespace: str = "CacheAside"
    password_log2_cost: int = LOG2_COST

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the variables; opens no connection. SettingsError for the first that is missing or malformed."""
        password, engine = environment.get("RDS_PASSWORD"), _read(engine_of, environment)
        cache, login = _endpoint(environment, "ELASTICACHE_ENDPOINT", 6379), _read(cache_login, environment)
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
            metric_namespace=environment.get("METRIC_NAMESPACE") or "CacheAside",
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise SettingsError(f"the environment variable {name} is not set")


def _read(read: Callable[[Mapping[str, str]], T], environment: Mapping[str, str]) -> T:
    try:
        return read(environment)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _seconds(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{name}: expected whole seconds, at least 1, got {text!r}")
    return int(text)


def _endpoint(environment: Mapping[str, str], name: str, default_port: int) -> Endpoint:
    _text(environment, name)
    return _read(lambda given: endpoint_of(given, name, default_port=default_port), environment)
