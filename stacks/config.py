"""The settings of every stage: typed, frozen and validated.

A setting has a dotted key (``cache.node_type``). Its value is the one in `STAGES`, else the default of its field,
unless ``-c KEY=VALUE`` overrides it (``stages.py``).
"""

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Text = Annotated[str, Field(min_length=1)]
DailyWindow = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]
WeeklyWindow = Annotated[
    str,
    Field(
        pattern=r"^(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):[0-5]\d-(mon|tue|wed|thu|fri|sat|sun):([01]\d|2[0-3]):[0-5]\d$"
    ),
]
FirewallGroup = Literal[
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesSQLiRuleSet",
]
LogRetentionDays = Literal[7, 30, 90, 180, 365, 731, 1827]


class Settings(BaseModel):
    """What all groups share: no unknown key, no conversion that loses or guesses, no change after validation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NetworkConfig(Settings):
    """The VPC."""

    cidr: IPv4Network = Field(IPv4Network("10.0.0.0/16"), description="address range of the VPC, /16 to /20")
    zones: int = Field(ge=2, le=3, description="number of availability zones")
    availability_zones: tuple[Text, ...] = Field(
        (), description="their names, as many as `zones`; empty: the first ones of the region"
    )
    nat_gateways: int = Field(
        0, ge=0, le=3, description="NAT gateways; more than 0 also opens the app tier's port 443 to the internet"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 16 <= self.cidr.prefixlen <= 20:
            raise ValueError(f"network.cidr={self.cidr} is not allowed: give a /16 to a /20")
        if self.availability_zones and len(set(self.availability_zones)) != self.zones:
            raise ValueError(
                f"network.availability_zones={','.join(self.availability_zones)} does not name as many different zones "
                f"as network.zones={self.zones}"
            )
        if self.nat_gateways > self.zones:
            raise ValueError(f"network.nat_gateways={self.nat_gateways} is more than network.zones={self.zones}")
        return self


class CacheConfig(Settings):
    """The ElastiCache replication group."""

    engine: Literal["redis", "valkey"] = Field(
        "redis", description="Redis 7.1 or Valkey 8.2, with the parameter group of its family"
    )
    auth: Literal["token", "iam"] = Field(
        "token",
        description="how clients log in: one AUTH token, or a user with few rights and IAM tokens; "
        "a change replaces the cache",
    )
    node_type: str = Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$", description="size of a node")
    nodes: int = Field(ge=1, le=6, description="the primary and its replicas")
    multi_az: bool = Field(description="automatic failover to a replica in another zone; needs 2 nodes")
    snapshot_retention_days: int = Field(ge=0, le=35, description="days a daily snapshot is kept; 0: no snapshots")
    snapshot_window: DailyWindow = Field("03:00-04:00", description="when the daily snapshot is taken, UTC")
    maintenance_window: WeeklyWindow = Field("sun:04:30-sun:05:30", description="when AWS may patch, UTC")
    auth_token_rotation_days: Literal[7, 30, 60, 90] | None = Field(
        description="days after which the AUTH token is rotated; none: never by itself. It takes an endpoint to the "
        "ElastiCache API, about 8 $ a month and zone"
    )

    @property
    def rotation_days(self) -> int | None:
        """Days between two rotations; None where there is nothing to rotate."""
        return self.auth_token_rotation_days if self.auth == "token" else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.multi_az and self.nodes < 2:
            raise ValueError(f"cache.multi_az=true needs cache.nodes of at least 2, not {self.nodes}")
        return self


class DatabaseConfig(Settings):
    """The RDS instance."""

    engine: Literal["postgres", "mysql"] = Field(
        "postgres",
        description="PostgreSQL 18 or MySQL 8.4 LTS, with its port, parameters and logs; decide before the first "
        "deployment: another engine is another, empty database",
    )
    instance_type: str = Field(pattern=r"^db\.[a-z0-9-]+\.[a-z0-9-]+$", description="size of the instance")
    multi_az: bool = Field(description="a standby in another zone that takes over")
    allocated_storage_gib: int = Field(20, ge=20, le=65536, description="storage at the start, GiB of gp3")
    max_allocated_storage_gib: int = Field(100, ge=22, le=65536, description="where storage autoscaling stops, GiB")
    backup_retention_days: int = Field(ge=1, le=35, description="days of point-in-time recovery")
    backup_window: DailyWindow = Field("02:00-02:45", description="when the daily backup is taken, UTC")
    maintenance_window: WeeklyWindow = Field("sun:05:30-sun:06:30", description="when AWS may patch, UTC")
    insights: Literal["off", "standard", "advanced"] = Field(
        description="mode of Database Insights; with mysql, micro and small burstable classes have none"
    )
    monitoring_interval_seconds: Literal[1, 5, 10, 15, 30, 60] = Field(
        60, description="seconds between the operating system's metrics (enhanced monitoring)"
    )
    sample_data: bool = Field(description="whether the schema migration also loads the sample products")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_allocated_storage_gib * 10 < self.allocated_storage_gib * 11:
            raise ValueError(
                f"database.max_allocated_storage_gib={self.max_allocated_storage_gib} must exceed "
                f"database.allocated_storage_gib={self.allocated_storage_gib} by at least 10 %"
            )
        return self


class BackupConfig(Settings):
    """The AWS Backup plan of the database."""

    retention_days: int | None = Field(
        ge=1, le=3650, description="days a daily backup of the database is kept in a vault; none: no backup plan"
    )
    vault_name: str | None = Field(
        None, pattern=r"^[a-zA-Z0-9_-]{2,50}$", description="existing backup vault to use; none: one is made"
    )


class AppConfig(Settings):
    """The Lambda functions of the app tier."""

    architecture: Literal["arm64", "x86_64"] = Field("arm64", description="processor the functions run on")
    python: Literal["3.11", "3.12", "3.13", "3.14"] = Field("3.14", description="Python the functions run on")
    memory_mib: int = Field(1024, ge=128, le=10240, description="memory of the app's function, MiB; CPU follows it")
    reserved_concurrency: int | None = Field(
        ge=1,
        description="most requests served at once, and one execution for each helper function; "
        "none: share the account's quota, which new accounts have little of",
    )

    @property
    def helper_concurrency(self) -> int | None:
        """What is reserved for each helper function, which runs once at a time; None: nothing is reserved."""
        return None if self.reserved_concurrency is None else 1


class WebConfig(Settings):
    """The load balancer's listener."""

    allowed_cidrs: tuple[IPv4Network, ...] = Field(
        description="addresses that may connect, comma-separated; dev has no default"
    )
    firewall: bool = Field(
        description="AWS WAF before the load balancer, about 10 $ a month and 0.60 $ a million requests"
    )
    firewall_rate_limit: int = Field(
        2000, ge=10, le=2_000_000_000, description="requests in five minutes after which one address is blocked"
    )
    firewall_count_only: tuple[FirewallGroup, ...] = Field(
        (), description="managed rule groups that only count what they would block, to tune them"
    )


class StageConfig(Settings):
    """All settings of one stage, once `stages.load` has checked them."""

    stage: str
    account: str | None = Field(
        None, pattern=r"^\d{12}$", description="AWS account to deploy to; `make deploy` needs it; none: any"
    )
    region: str | None = Field(
        None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="AWS region to deploy to; `make deploy` needs it; none: any",
    )
    certificate_arn: str | None = Field(
        None, pattern=r"^arn:[a-z-]+:acm:", description="ACM certificate of the HTTPS listener"
    )
    domain_name: str | None = Field(
        None,
        pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$",
        description="instead of certificate_arn: name to make a certificate and a DNS record for; needs hosted_zone_id",
    )
    hosted_zone_id: str | None = Field(None, pattern=r"^Z[A-Z0-9]+$", description="Route 53 zone of domain_name")
    permissions_boundary: str | None = Field(
        None,
        pattern=r"^[\w+=,.@/-]{1,128}$",
        description="name of a managed policy that bounds every role; none: no bound",
    )
    bootstrap_qualifier: str | None = Field(
        None, pattern=r"^[a-z0-9]{1,10}$", description="qualifier of the account's CDK bootstrap stack; none: CDK's own"
    )
    deletion_protection: bool = Field(
        description="deletion and termination protection; final snapshots; keys and logs outlive the stacks"
    )
    log_retention_days: LogRetentionDays = Field(description="days that every log is kept")
    network: NetworkConfig
    cache: CacheConfig
    database: DatabaseConfig
    backup: BackupConfig
    app: AppConfig
    web: WebConfig

    @property
    def name(self) -> str:
        """What the physical names of the stage begin with, and all of its database's and its firewall's."""
        return f"cache-aside-{self.stage}"

    def stack_name(self, stack: Literal["network", "data", "app"]) -> str:
        """The name of one of the stage's stacks."""
        return f"{self.name}-{stack}"

    @property
    def https(self) -> bool:
        """Whether the load balancer has a certificate to serve with."""
        return self.certificate_arn is not None or self.domain_name is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.domain_name is None) != (self.hosted_zone_id is None):
            raise ValueError("domain_name and hosted_zone_id go together: give both or neither")
        if self.certificate_arn and self.domain_name:
            raise ValueError("certificate_arn and domain_name exclude each other: give one of them")
        if self.stage == "prod" and not self.https:
            raise ValueError(
                "stage prod serves HTTPS only and has no certificate: give certificate_arn, "
                "or domain_name with hosted_zone_id"
            )
        if not self.web.allowed_cidrs:
            raise ValueError(
                f"stage {self.stage} has no addresses that may connect: give web.allowed_cidrs, "
                "for example web.allowed_cidrs=203.0.113.7/32 (comma-separated, no default)"
            )
        return self


STAGES: Mapping[str, Mapping[str, object]] = {
    "dev": {
        "deletion_protection": False,
        "log_retention_days": 30,
        "network.zones": 2,
        "cache.node_type": "cache.t4g.micro",
        "cache.nodes": 1,
        "cache.multi_az": False,
        "cache.snapshot_retention_days": 1,
        "cache.auth_token_rotation_days": None,
        "database.instance_type": "db.t4g.micro",
        "database.multi_az": False,
        "database.backup_retention_days": 1,
        "database.insights": "off",
        "database.sample_data": True,
        "backup.retention_days": None,
        "app.reserved_concurrency": None,
        "web.allowed_cidrs": (),
        "web.firewall": False,
    },
    "prod": {
        "deletion_protection": True,
        "log_retention_days": 365,
        "network.zones": 3,
        "cache.node_type": "cache.r7g.large",
        "cache.nodes": 3,
        "cache.multi_az": True,
        "cache.snapshot_retention_days": 15,
        "cache.auth_token_rotation_days": 30,
        "database.instance_type": "db.r7g.large",
        "database.multi_az": True,
        "database.allocated_storage_gib": 100,
        "database.max_allocated_storage_gib": 1000,
        "database.backup_retention_days": 15,
        "database.insights": "advanced",
        "database.sample_data": False,
        "backup.retention_days": 35,
        "app.reserved_concurrency": 100,
        "web.allowed_cidrs": ("0.0.0.0/0",),
        "web.firewall": True,
    },
}
