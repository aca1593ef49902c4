"""What a function needs to use the cache and the database: to be told where they are, and to be let in."""

from aws_cdk import aws_iam as iam

from constructs_lib.database import Database
from constructs_lib.redis_replication_group import RedisReplicationGroup


def cache_environment(cache: RedisReplicationGroup) -> dict[str, str]:
    """Where the cache is, and which secret holds its AUTH token."""
    return {
        "ELASTICACHE_ENDPOINT": cache.primary_endpoint,
        "ELASTICACHE_AUTH_SECRET_ARN": cache.auth_token.secret.secret_arn,
    }


def data_environment(cache: RedisReplicationGroup, database: Database, database_user: str) -> dict[str, str]:
    """The variables that the app's code reads; no secret among them.

    :param database_user: the database role to connect as, by IAM token
    """
    return {
        **cache_environment(cache),
        "RDS_ENDPOINT": database.endpoint,
        "RDS_DB_NAME": database.database_name,
        "RDS_USER": database_user,
    }


def grant_data_access(
    grantee: iam.IGrantable, cache: RedisReplicationGroup, database: Database, database_user: str
) -> None:
    """Allow `grantee` to read the AUTH token and to connect to the database as that one user."""
    cache.grant_auth_token_read(grantee)
    database.grant_connect(grantee, database_user)
