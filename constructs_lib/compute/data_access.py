"""What a function needs to use the cache and the database: to be told where they are, and to be let in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import aws_iam as iam

from constructs_lib.cache.replication_group import ReplicationGroup
from constructs_lib.database.database import Database


@dataclass(frozen=True, kw_only=True)
class DataAccess:
    """A cache and a database as one role of the app uses them.

    :param cache: the replication group
    :param database: the database behind it
    :param database_user: the database role to connect as, with an IAM token
    """

    cache: ReplicationGroup
    database: Database
    database_user: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the app's code reads; no secret among them."""
        return {
            **self.cache.client_environment,
            "RDS_ENGINE": self.database.engine.name,
            "RDS_ENDPOINT": self.database.endpoint,
            "RDS_DB_NAME": self.database.database_name,
            "RDS_USER": self.database_user,
        }

    @property
    def replaced_with(self) -> Sequence[Mapping[str, object]]:
        """What `environment` changes with although it reads the same: a replaced cache or database, see `LiveAlias`."""
        return [self.cache.replaced_with, self.database.replaced_with]

    def grant(self, grantee: iam.IGrantable) -> None:
        """Allow `grantee` to log in to the cache, and to connect to the database as that one role."""
        self.cache.grant_connect(grantee)
        self.database.grant_connect(grantee, self.database_user)
