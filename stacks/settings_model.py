"""The settings: their types, defaults and descriptions, and what is allowed of each and of several together.

What AWS itself refuses is in aws_rules.py and time_windows.py. The values of the stages are in settings.py.
"""

from collections.abc import Callable
from ipaddress import IPv4Network, collapse_addresses
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from stacks import aws_rules, time_windows

MOST_ADDRESSES_WITHOUT_TLS = 2**16  # what a company has, and not the world: passwords cross the network in plain text
CLASSES_WITHOUT_INSIGHTS = ("micro", "small")  # of MySQL

Text = Annotated[str, Field(min_length=1)]
EMULATED_ACCOUNT = "000000000000"  # of `make up`, whose functions run in this machine's Python
_STACKS = ("network", "data", "app")
FirewallGroup = Literal[
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesSQLiRuleSet",
]


def _lasting(window: Callable[[str], tuple[int, int]], least: int) -> AfterValidator:
    def check(text: str) -> str:
        _, minutes = window(text)
        if minutes < least:
            raise ValueError(f"it lasts {minutes} min, and AWS asks for at least {least}")
        return text

    return AfterValidator(check)


# The least that AWS takes: API references, CreateReplicationGroup and CreateDBInstance.
SnapshotWindow = Annotated[str, _lasting(time_windows.daily, 60)]
CacheMaintenanceWindow = Annotated[str, _lasting(time_windows.weekly, 60)]
BackupWindow = Annotated[str, _lasting(time_windows.daily, 30)]
DatabaseMaintenanceWindow = Annotated[str, _lasting(time_windows.weekly, 30)]


def shown(value: object) -> str:
    """A value as it is written on the command line."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class Settings(BaseModel):
    """What all groups share: no unknown key, no conversion that loses or guesses, no change after validation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NetworkConfig(Settings):
    """The VPC."""

    cidr: Annotated[IPv4Network, AfterValidator(aws_rules.vpc_range)] = Field(
        IPv4Network("10.0.0.0/16"),
        description="Address range of the VPC, a /16 to a /20. Cannot change on a deployed stage",
    )
    zones: int = Field(ge=2, le=3, description="Number of availability zones")
    availability_zones: tuple[Annotated[str, AfterValidator(aws_rules.zone)], ...] = Field(
        (),
        description="Names of the zones, as many as `network.zones`. Unset: the first zones of the region. Cannot "
        "change on a deployed stage",
        examples=["eu-west-1a,eu-west-1b"],
    )
    nat_gateways: int = Field(
        0,
        ge=0,
        le=3,
        description="NAT gateways. More than 0 also opens port 443 to the internet for the app tier",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.availability_zones and len(set(self.availability_zones)) != self.zones:
            raise ValueError(
                f"network.availability_zones={shown(self.availability_zones)} is not allowed: name as many different "
                f"zones as network.zones={self.zones}. Example: network.availability_zones=eu-west-1a,eu-west-1b"
            )
        if len(set(map(aws_rules.region_of_zone, self.availability_zones))) > 1:
            raise ValueError(
                f"network.availability_zones={shown(self.availability_zones)} is not allowed: name zones of one "
                "region. Example: network.availability_zones=eu-west-1a,eu-west-1b"
            )
        if self.nat_gateways > self.zones:
            raise ValueError(
                f"network.nat_gateways={self.nat_gateways} is more than network.zones={self.zones}. "
                "Example: network.nat_gateways=1"
            )
        return self


class CacheConfig(Settings):
    """The ElastiCache replication group."""

    engine: Literal["redis", "valkey"] = Field(
        "redis", description="Redis 7.1 or Valkey 8.2, with the parameter group of its family"
    )
    auth: Literal["token", "iam", "moved-to-iam"] = Field(
        "token",
        description="How clients log in: with one AUTH token, or with IAM as a user with few rights. iam is "
        "recommended for new stages. Going from token to iam replaces the cache; a deployed stage goes to "
        "moved-to-iam, without interruption, as docs/token-to-iam.md describes",
    )
    node_type: Annotated[str, Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$"), AfterValidator(aws_rules.node_type)] = (
        Field(description="Size of each node", examples=["cache.r7g.large"])
    )
    nodes: int = Field(ge=1, le=6, description="Number of nodes: the primary and its replicas")
    multi_az: bool = Field(
        description="Fail over automatically to a replica in another zone. Needs at least 2 nodes", examples=["false"]
    )
    snapshot_retention_days: int = Field(
        ge=0, le=35, description="Days to keep each daily snapshot. 0: no snapshots", examples=["15"]
    )
    snapshot_window: SnapshotWindow = Field("03:00-04:00", description="When to take the daily snapshot, UTC")
    maintenance_window: CacheMaintenanceWindow = Field(
        "sun:04:30-sun:05:30", description="When AWS may patch the cache, UTC"
    )
    auth_token_rotation_days: Literal[7, 30, 60, 90] | None = Field(
        description="Days between rotations of the AUTH token. Unset: no automatic rotation. Adds an interface "
        "endpoint, about $8 per month and zone",
        examples=["30"],
    )

    @property
    def rotation_days(self) -> int | None:
        """Days between two rotations; None where there is nothing to rotate."""
        return self.auth_token_rotation_days if self.auth == "token" else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.multi_az and self.nodes < 2:
            raise ValueError(
                f"cache.multi_az=true needs cache.nodes of at least 2, not {self.nodes}. Example: cache.nodes=2"
            )
        if self.snapshot_retention_days and time_windows.meet(self.snapshot_window, self.maintenance_window):
            raise ValueError(
                f"cache.snapshot_window={self.snapshot_window} overlaps cache.maintenance_window="
                f"{self.maintenance_window}, which ElastiCache refuses. Example: cache.snapshot_window=03:00-04:00 "
                "cache.maintenance_window=sun:04:30-sun:05:30"
            )
        return self


class DatabaseConfig(Settings):
    """The RDS instance."""

    engine: Literal["postgres", "mysql"] = Field(
        "postgres",
        description="PostgreSQL 18 or MySQL 8.4 LTS, with its port, parameters and logs. Decide before the first "
        "deployment: changing it means a new, empty database",
    )
    instance_type: Annotated[
        str, Field(pattern=r"^db\.[a-z0-9-]+\.[a-z0-9-]+$"), AfterValidator(aws_rules.instance_class)
    ] = Field(description="Size of the instance", examples=["db.r7g.large"])
    multi_az: bool = Field(description="Keep a standby in another zone that takes over", examples=["true"])
    allocated_storage_gib: int = Field(20, ge=20, le=59_578, description="Initial storage, GiB of gp3", examples=["50"])
    max_allocated_storage_gib: int = Field(
        100, ge=22, le=65536, description="Limit of storage autoscaling, GiB", examples=["200"]
    )
    backup_retention_days: int = Field(ge=1, le=35, description="Days of point-in-time recovery", examples=["15"])
    backup_window: BackupWindow = Field("02:00-02:45", description="When to take the daily backup, UTC")
    maintenance_window: DatabaseMaintenanceWindow = Field(
        "sun:05:30-sun:06:30", description="When AWS may patch the database, UTC"
    )
    insights: Literal["off", "standard", "advanced"] = Field(
        description="Mode of Database Insights. MySQL has none on micro and small burstable classes"
    )
    monitoring_interval_seconds: Literal[1, 5, 10, 15, 30, 60] = Field(
        60, description="Seconds between operating system metrics (enhanced monitoring)"
    )
    sample_data: bool = Field(description="Load the sample products during the schema migration", examples=["true"])

    @property
    def _has_no_insights(self) -> bool:
        return self.engine == "mysql" and self.instance_type.split(".")[2] in CLASSES_WITHOUT_INSIGHTS

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_allocated_storage_gib * 10 < self.allocated_storage_gib * 11:
            raise ValueError(
                f"database.max_allocated_storage_gib={self.max_allocated_storage_gib} must exceed "
                f"database.allocated_storage_gib={self.allocated_storage_gib} by at least 10 %. "
                f"Example: database.max_allocated_storage_gib={min(2 * self.allocated_storage_gib, 65536)}"
            )
        if time_windows.meet(self.backup_window, self.maintenance_window):
            raise ValueError(
                f"database.backup_window={self.backup_window} overlaps database.maintenance_window="
                f"{self.maintenance_window}, which RDS refuses. Example: database.backup_window=02:00-02:45 "
                "database.maintenance_window=sun:05:30-sun:06:30"
            )
        if self.insights != "off" and self._has_no_insights:
            raise ValueError(
                f"database.insights={self.insights} is not possible for MySQL on database.instance_type="
                f"{self.instance_type}: micro and small classes have none. Example: database.instance_type="
                "db.t4g.medium, or database.insights=off"
            )
        return self


class BackupConfig(Settings):
    """The AWS Backup plan of the database."""

    retention_days: int | None = Field(
        ge=1,
        le=3650,
        description="Days to keep each daily backup of the database in a vault. It begins at a full hour that is more "
        "than an hour away from the database's windows. Unset: no backup plan",
        examples=["35"],
    )
    vault_name: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9_-]{2,50}$",
        description="Existing backup vault to use. Unset: creates one",
        examples=["central-vault"],
    )
    vault_lock: Literal["governance", "compliance"] = Field(
        "governance",
        description="Lock of the vault that is created: no backup is deleted before its time. governance: whoever has "
        "backup:DeleteBackupVaultLockConfiguration can lift it. compliance: **irreversible**: three days after the "
        "deployment nobody can lift it, AWS included, and `backup.retention_days` cannot get shorter",
        examples=["compliance"],
    )
    copy_to_vault_arn: Annotated[str, AfterValidator(aws_rules.vault)] | None = Field(
        None,
        description="Vault that gets a copy of each backup, kept as long, best in another account of your "
        "organization. It takes a vault in this region with a customer managed key, whose policy admits the copy",
        examples=["arn:aws:backup:eu-west-1:444455556666:backup-vault:copies"],
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.vault_name and self.vault_lock != "governance":
            raise ValueError(
                f"backup.vault_lock={self.vault_lock} locks the vault that is created, and backup.vault_name="
                f"{self.vault_name} exists: lock that one yourself. Example: backup.vault_lock=governance"
            )
        if self.retention_days is None and (
            self.vault_name or self.copy_to_vault_arn or self.vault_lock != "governance"
        ):
            raise ValueError(
                "backup.vault_name, backup.vault_lock and backup.copy_to_vault_arn do nothing without a plan: give "
                "backup.retention_days. Example: backup.retention_days=35"
            )
        return self


class AppConfig(Settings):
    """The Lambda functions of the app tier."""

    architecture: Literal["arm64", "x86_64"] = Field("arm64", description="Processor of the functions")
    python: Literal["3.11", "3.12", "3.13", "3.14"] = Field(
        "3.14", description="Python version of the functions. 3.11 needs `app.architecture=x86_64`"
    )
    memory_mib: int = Field(1024, ge=128, le=10240, description="Memory of the app's function, MiB; CPU scales with it")
    reserved_concurrency: int | None = Field(
        ge=1,
        description="Limit of requests served at once, and 1 for each helper function, reserved from the account's "
        "quota. Unset: reserves nothing, for new accounts with a small quota",
        examples=["100"],
    )
    release: Literal["linear", "all_at_once", "direct"] = Field(
        description="How requests move to a new version. `linear`: a tenth more each minute, and back when an alarm "
        "rings. `all_at_once`: the same in one step. `direct`: at once, without CodeDeploy and alarms. Deploy with "
        "`direct` to fix what makes an alarm ring",
        examples=["direct"],
    )

    @property
    def helper_concurrency(self) -> int | None:
        """What is reserved for each helper function, which runs once at a time; None: nothing is reserved."""
        return None if self.reserved_concurrency is None else 1


class WebConfig(Settings):
    """The load balancer's listener."""

    allowed_cidrs: Annotated[tuple[IPv4Network, ...], AfterValidator(aws_rules.client_ranges)] = Field(
        description=f"Addresses that may connect, comma-separated, at most {aws_rules.MOST_RULES} ranges. "
        "dev has no default. Without a certificate at most "
        f"{MOST_ADDRESSES_WITHOUT_TLS:,} addresses, because passwords travel in plain text",
        examples=["203.0.113.7/32"],
    )
    firewall: bool = Field(
        description="Put AWS WAF in front of the load balancer, about $11 per month and $0.60 per million requests",
        examples=["true"],
    )
    firewall_rate_limit: int = Field(
        2000, ge=10, le=2_000_000_000, description="Requests from one address in five minutes before AWS WAF blocks it"
    )
    firewall_password_limit: int = Field(
        20,
        ge=10,
        le=2_000_000_000,
        description="Requests with a password (logins and password changes) from one address in "
        "`web.firewall_password_window_seconds` before AWS WAF answers 429. AWS WAF's minimum is 10",
    )
    firewall_password_window_seconds: Literal[60, 120, 300, 600] = Field(
        300, description="Window of `web.firewall_password_limit`, seconds"
    )
    firewall_count_only: tuple[FirewallGroup, ...] = Field(
        (),
        description="Managed rule groups that only count what they would block, for tuning",
        examples=["AWSManagedRulesCommonRuleSet"],
    )

    access_log_deletion_role: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9_+=,.@-]{1,64}$",
        description="Name of the only role, with any path, that may delete access logs before they expire. Unset: "
        "nobody. Keep `s3:PutLifecycleConfiguration`, `s3:PutBucketPolicy` and the right to make or trust such a role "
        "to administrators: each gets around it",
        examples=["LogAdministrator"],
    )

    @property
    def admitted_addresses(self) -> int:
        """How many addresses may connect, each counted once."""
        return sum(network.num_addresses for network in collapse_addresses(self.allowed_cidrs))


class StageConfig(Settings):
    """All settings of one stage, once `load` has checked them."""

    stage: str
    account: str | None = Field(
        None,
        pattern=r"^[0-9]{12}$",
        description="AWS account to deploy to. Required by `make deploy`. Unset: environment-agnostic",
        examples=["111122223333"],
    )
    region: Annotated[str, AfterValidator(aws_rules.region)] | None = Field(
        None,
        description="AWS region to deploy to. Required by `make deploy`. Unset: environment-agnostic",
        examples=["eu-west-1"],
    )
    certificate_arn: Annotated[str, AfterValidator(aws_rules.certificate)] | None = Field(
        None,
        description="ACM certificate of the HTTPS listener",
        examples=["arn:aws:acm:eu-west-1:111122223333:certificate/11111111-2222-3333-4444-555555555555"],
    )
    domain_name: Annotated[str, AfterValidator(aws_rules.domain)] | None = Field(
        None,
        description="Instead of `certificate_arn`: the name to create a certificate and a DNS record for. "
        "Needs `hosted_zone_id`",
        examples=["shop.example.com"],
    )
    hosted_zone_id: str | None = Field(
        None,
        pattern=r"^Z[A-Z0-9]{1,31}$",
        description="Route 53 zone of `domain_name`",
        examples=["Z0123456789ABCDEFGHIJ"],
    )
    permissions_boundary: str | None = Field(
        None,
        pattern=r"^([a-zA-Z0-9_+=,.@-]+/)*[a-zA-Z0-9_+=,.@-]{1,128}$",
        description="Name of a managed policy that bounds every role. Unset: no boundary",
        examples=["DeveloperBoundary"],
    )
    bootstrap_qualifier: str | None = Field(
        None,
        pattern=r"^[a-z0-9]{1,10}$",
        description="Qualifier of the account's CDK bootstrap stack. Unset: CDK's own",
        examples=["team1"],
    )
    deletion_protection: bool = Field(
        description="Protect stacks and data from deletion, take final snapshots, and keep keys and logs when a stack "
        "is deleted",
        examples=["true"],
    )
    instance: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9]{0,9}$",
        description="Name of one of several copies of the stage in one account and region, up to 10 letters and "
        "digits, and part of every name: another one is another, empty copy. Unset: the copy without a name",
        examples=["blue"],
    )
    creating: tuple[Literal["network", "data", "app"], ...] = Field(
        (),
        description="Set by `make deploy` alone: the stacks that are being created. They, their database and their "
        "load balancer are not yet protected, so that a failed creation can be cleaned up and repeated",
        examples=["network,data,app"],
    )
    log_retention_days: Literal[7, 30, 90, 180, 365, 731, 1827] = Field(description="Days to keep each log")
    network: NetworkConfig
    cache: CacheConfig
    database: DatabaseConfig
    backup: BackupConfig
    app: AppConfig
    web: WebConfig

    @property
    def name(self) -> str:
        """What the physical names of the stage begin with, and all of its database's and its firewall's."""
        return f"cache-aside-{self.stage}" + (f"-{self.instance}" if self.instance else "")

    def stack_name(self, stack: Literal["network", "data", "app"]) -> str:
        """The name of one of the stage's stacks."""
        return f"{self.name}-{stack}"

    @property
    def backup_hour(self) -> int:
        """The hour of the day, UTC, at which AWS Backup begins; without a backup plan it means nothing."""
        hour = time_windows.clear_hour(self.database.backup_window, self.database.maintenance_window)
        return 0 if hour is None else hour

    @property
    def https(self) -> bool:
        """Whether the load balancer has a certificate to serve with."""
        return self.certificate_arn is not None or self.domain_name is not None

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        zones = self.network.availability_zones
        if zones and self.region and aws_rules.region_of_zone(zones[0]) != self.region:
            raise ValueError(
                f"network.availability_zones={shown(zones)} are not in region={self.region}. "
                f"Example: network.availability_zones={self.region}a,{self.region}b"
            )
        if self.region and self.network.zones > (most := aws_rules.MOST_ZONES.get(self.region, self.network.zones)):
            raise ValueError(
                f"network.zones={self.network.zones} is not possible: an account has {most} zones in region="
                f"{self.region}. Example: network.zones={most}"
            )
        if self.certificate_arn:
            region, account = aws_rules.region_and_account_of_certificate(self.certificate_arn)
            if (self.region or region, self.account or account) != (region, account):
                raise ValueError(
                    f"certificate_arn={self.certificate_arn} is in region {region} and account {account}; a load "
                    f"balancer takes one of its own: {self.region or 'any region'} and {self.account or 'any account'}"
                )
        return self

    @model_validator(mode="after")
    def _check_backup(self) -> Self:
        if self.backup.copy_to_vault_arn:
            region, account, name = aws_rules.vault_place(self.backup.copy_to_vault_arn)
            own = self.backup.vault_name or self.name
            if region != (self.region or region):
                raise ValueError(
                    f"backup.copy_to_vault_arn={self.backup.copy_to_vault_arn} is in region {region}; this copy takes "
                    f"a vault in region={self.region}"
                )
            if name == own and account == self.account:
                raise ValueError(
                    f"backup.copy_to_vault_arn={self.backup.copy_to_vault_arn} is the vault that the backups are in: "
                    "give another one, best in another account"
                )
        windows = self.database.backup_window, self.database.maintenance_window
        if self.backup.retention_days and time_windows.clear_hour(*windows) is None:
            raise ValueError(
                f"database.backup_window={windows[0]} and database.maintenance_window={windows[1]} leave no hour of "
                "the day for AWS Backup, which starts more than an hour away from both. Example: "
                "database.backup_window=02:00-02:45 database.maintenance_window=sun:05:30-sun:06:30"
            )
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.app.python, self.app.architecture) == ("3.11", "arm64") and self.account != EMULATED_ACCOUNT:
            raise ValueError(
                "app.python=3.11 needs app.architecture=x86_64: its runtime has GLIBC 2.26, and psycopg for arm64 "
                "needs 2.27. Example: app.python=3.12"
            )
        if self.instance in _STACKS:
            raise ValueError(
                f"instance={self.instance} is the name of a stack: give another one. Example: instance=blue"
            )
        if (self.domain_name is None) != (self.hosted_zone_id is None):
            raise ValueError(
                "domain_name and hosted_zone_id go together: give both or neither. Example: "
                "domain_name=shop.example.com hosted_zone_id=Z0123456789ABCDEFGHIJ"
            )
        if self.certificate_arn and self.domain_name:
            raise ValueError("certificate_arn and domain_name exclude each other: give one, and the other as none")
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
        if not self.https and self.web.admitted_addresses > MOST_ADDRESSES_WITHOUT_TLS:
            raise ValueError(
                f"web.allowed_cidrs={shown(self.web.allowed_cidrs)} admits {self.web.admitted_addresses:,} addresses; "
                f"without a certificate, passwords travel in plain text, so at most {MOST_ADDRESSES_WITHOUT_TLS:,} are "
                "allowed: give fewer, for example web.allowed_cidrs=203.0.113.7/32, or give certificate_arn, or "
                "domain_name with hosted_zone_id"
            )
        return self
