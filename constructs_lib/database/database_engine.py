"""The SQL engines that a database can run, and everything that differs with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aws_cdk import aws_rds as rds


@dataclass(frozen=True, kw_only=True)
class DatabaseEngine:
    """An engine and its settings. They only ever change together.

    :param name: what RDS calls it, and what the app reads in ``RDS_ENGINE``
    :param version: engine and version that an instance begins with; RDS upgrades minor versions itself
    :param port: where it listens, its default
    :param log_exports: RDS's name of every log that goes to CloudWatch, by the construct id of its group
    :param bytes_per_connection: RDS sets max_connections to the memory divided by this ("Maximum number of database
        connections", RDS User Guide)
    :param connections_cap: and to no more than this
    :param parameters: what makes it refuse plain text, and write those logs
    :param options: settings of every option (plug-in), by the option's name. Default: none
    :param classes_without_insights: instance classes that have no Database Insights ("DB engine, Region, and instance
        class support for Database Insights", RDS User Guide). Default: every class has them
    """

    name: str
    version: rds.IInstanceEngine
    port: int
    log_exports: Mapping[str, str]
    bytes_per_connection: int
    connections_cap: int
    parameters: Mapping[str, str]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    classes_without_insights: frozenset[str] = frozenset()

    def most_connections(self, memory_gib: float) -> int:
        """What RDS's default of max_connections comes to with that memory."""
        return min(self.connections_cap, int(memory_gib * 2**30 / self.bytes_per_connection))


# The major version only: RDS upgrades minor ones.
POSTGRES_18: Final = DatabaseEngine(
    name="postgres",
    version=rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_18),
    port=5432,
    log_exports={"PostgresqlLogGroup": "postgresql", "UpgradeLogGroup": "upgrade"},
    bytes_per_connection=9_531_392,
    connections_cap=5_000,
    parameters={"rds.force_ssl": "1"},
)

# A minor version only because the linters know no shorter one for MySQL. Leave it alone when RDS is ahead of it: it is
# sent again when it changes, and RDS does not go back. When new instances cannot have it any more, the linters say so.
# RDS exports logs that are files; the audit log needs a plug-in ("Publishing MySQL logs to Amazon CloudWatch Logs", RDS
# User Guide). The general log stays off: see docs/decisions/database-engine.md.
MYSQL_8_4: Final = DatabaseEngine(
    name="mysql",
    version=rds.DatabaseInstanceEngine.mysql(version=rds.MysqlEngineVersion.VER_8_4_10),
    port=3306,
    log_exports={
        "AuditLogGroup": "audit",
        "ErrorLogGroup": "error",
        "GeneralLogGroup": "general",
        "SlowQueryLogGroup": "slowquery",
    },
    bytes_per_connection=12_582_880,
    connections_cap=100_000,
    parameters={
        "require_secure_transport": "1",
        "log_output": "FILE",
        "slow_query_log": "1",
        "long_query_time": "1",  # seconds; MySQL's default of 10 is more than any statement of a web request may take
    },
    options={"MARIADB_AUDIT_PLUGIN": {"SERVER_AUDIT_EVENTS": "CONNECT,QUERY_DDL,QUERY_DCL"}},
    classes_without_insights=frozenset(
        f"db.{family}.{size}" for family in ("t2", "t3", "t4g") for size in ("micro", "small")
    ),
)

DATABASE_ENGINES: Final[Mapping[str, DatabaseEngine]] = {engine.name: engine for engine in (POSTGRES_18, MYSQL_8_4)}
