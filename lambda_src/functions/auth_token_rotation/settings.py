"""What the deployment tells the rotation."""

from collections.abc import Mapping
from dataclasses import dataclass

from functions.auth_token_rotation.errors import RotationError
from storefront.endpoints import Endpoint, parse_endpoint


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which secret, of which cache, and how long two tokens work once clients can read the new one."""

    cache: Endpoint
    secret_arn: str
    replication_group_id: str
    drain_seconds: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the function's environment variables; RotationError names what is missing or malformed."""
        try:
            return cls(
                cache=parse_endpoint(environment["ELASTICACHE_ENDPOINT"], default_port=6379),
                secret_arn=environment["ELASTICACHE_AUTH_SECRET_ARN"],
                replication_group_id=environment["ELASTICACHE_REPLICATION_GROUP_ID"],
                drain_seconds=int(environment["DRAIN_SECONDS"]),
            )
        except KeyError as missing:
            raise RotationError(f"the environment variable {missing.args[0]} is not set") from None
        except ValueError as error:
            raise RotationError(f"ELASTICACHE_ENDPOINT or DRAIN_SECONDS: {error}") from None
