"""What the deployment tells the migration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from storefront.cache_login import CacheLogin, cache_login
from storefront.endpoints import Endpoint, endpoint_of
from storefront.engines import DEFAULT_PORTS, Engine, engine_of

TIMEOUT_SECONDS = 120
"""How long a statement may take, and the wait for another migration."""


class MigrationError(Exception):
    """The migration failed. The message becomes the reason of the failed deployment, so it never holds a secret."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user name and a password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the database is and who may use it, and where the cache is and how to log in.

    `app_password` is for local use; None makes the app's role an IAM user of the database.
    """

    engine: Engine = "postgres"
    endpoint: Endpoint
    database: str
    app_role: str
    master_secret_arn: str
    operator_secret_arn: str
    cache: Endpoint
    cache_login: CacheLogin
    region: str = ""
    app_password: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the function's environment variables; MigrationError names what is missing or malformed."""
        try:
            engine = engine_of(environment)
            return cls(
                engine=engine,
                endpoint=endpoint_of(environment, "RDS_ENDPOINT", default_port=DEFAULT_PORTS[engine]),
                database=environment["RDS_DB_NAME"],
                app_role=environment["RDS_USER"],
                master_secret_arn=environment["RDS_MASTER_SECRET_ARN"],
                operator_secret_arn=environment["OPERATOR_SECRET_ARN"],
                cache=endpoint_of(environment, "ELASTICACHE_ENDPOINT", default_port=6379),
                cache_login=cache_login(environment),
                region=environment.get("AWS_REGION", ""),
                app_password=environment.get("RDS_PASSWORD"),
            )
        except KeyError as missing:
            raise MigrationError(f"the environment variable {missing.args[0]} is not set") from None
        except ValueError as error:
            raise MigrationError(str(error)) from None
