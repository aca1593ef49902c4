"""What the deployment tells the migration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from storefront.endpoints import Endpoint, parse_endpoint


class MigrationError(Exception):
    """The migration failed. The message becomes the reason of the failed deployment, so it never holds a secret."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user name and a password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the database is and who may use it, and where the cache is, whose AUTH token is `auth_secret_arn`.

    `app_password` is for local use; None makes the app's role an IAM user of the database.
    """

    endpoint: Endpoint
    database: str
    app_role: str
    master_secret_arn: str
    operator_secret_arn: str
    cache: Endpoint
    auth_secret_arn: str
    app_password: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the function's environment variables; MigrationError names what is missing or malformed."""
        try:
            return cls(
                endpoint=_endpoint(environment, "RDS_ENDPOINT", 5432),
                database=environment["RDS_DB_NAME"],
                app_role=environment["RDS_USER"],
                master_secret_arn=environment["RDS_MASTER_SECRET_ARN"],
                operator_secret_arn=environment["OPERATOR_SECRET_ARN"],
                cache=_endpoint(environment, "ELASTICACHE_ENDPOINT", 6379),
                auth_secret_arn=environment["ELASTICACHE_AUTH_SECRET_ARN"],
                app_password=environment.get("RDS_PASSWORD"),
            )
        except KeyError as missing:
            raise MigrationError(f"the environment variable {missing.args[0]} is not set") from None


def _endpoint(environment: Mapping[str, str], name: str, default_port: int) -> Endpoint:
    try:
        return parse_endpoint(environment[name], default_port=default_port)
    except ValueError as error:
        raise MigrationError(f"{name}: {error}") from None
