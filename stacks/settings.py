"""The settings of every stage: typed, frozen, validated, and read from the command line.

A setting has a dotted key (``cache.node_type``). Its value is the one that ``-c KEY=VALUE`` gives, else the one in
`STAGES`, else the default of its field. docs/settings.md is generated from here.
"""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import reduce
from ipaddress import IPv4Network, collapse_addresses
from types import NoneType
from typing import Annotated, Literal, Self, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

DEFAULT_STAGE = "dev"
MOST_ADDRESSES_WITHOUT_TLS = 2**16  # what a company has, and not the world: passwords cross the network in plain text

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


class ConfigError(ValueError):
    """A stage, key or value that is not allowed. The message names what was given and what is allowed."""


class Settings(BaseModel):
    """What all groups share: no unknown key, no conversion that loses or guesses, no change after validation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NetworkConfig(Settings):
    """The VPC."""

    cidr: IPv4Network = Field(IPv4Network("10.0.0.0/16"), description="Address range of the VPC, a /16 to a /20")
    zones: int = Field(ge=2, le=3, description="Number of availability zones")
    availability_zones: tuple[Text, ...] = Field(
        (),
        description="Names of the zones, as many as `network.zones`. Unset: the first zones of the region",
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
        if not 16 <= self.cidr.prefixlen <= 20:
            raise ValueError(f"network.cidr={self.cidr} is not allowed: give a /16 to a /20")
        if self.availability_zones and len(set(self.availability_zones)) != self.zones:
            raise ValueError(
                f"network.availability_zones={shown(self.availability_zones)} is not allowed: name as many different "
                f"zones as network.zones={self.zones}. Example: network.availability_zones=eu-west-1a,eu-west-1b"
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
        description="How clients log in: with one AUTH token, or with IAM as a user with few rights. "
        "Changing it replaces the cache",
    )
    node_type: str = Field(
        pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$", description="Size of each node", examples=["cache.r7g.large"]
    )
    nodes: int = Field(ge=1, le=6, description="Number of nodes: the primary and its replicas")
    multi_az: bool = Field(
        description="Fail over automatically to a replica in another zone. Needs at least 2 nodes", examples=["false"]
    )
    snapshot_retention_days: int = Field(
        ge=0, le=35, description="Days to keep each daily snapshot. 0: no snapshots", examples=["15"]
    )
    snapshot_window: DailyWindow = Field("03:00-04:00", description="When to take the daily snapshot, UTC")
    maintenance_window: WeeklyWindow = Field("sun:04:30-sun:05:30", description="When AWS may patch the cache, UTC")
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
            raise ValueError(f"cache.multi_az=true needs cache.nodes of at least 2, not {self.nodes}")
        return self


class DatabaseConfig(Settings):
    """The RDS instance."""

    engine: Literal["postgres", "mysql"] = Field(
        "postgres",
        description="PostgreSQL 18 or MySQL 8.4 LTS, with its port, parameters and logs. Decide before the first "
        "deployment: changing it means a new, empty database",
    )
    instance_type: str = Field(
        pattern=r"^db\.[a-z0-9-]+\.[a-z0-9-]+$", description="Size of the instance", examples=["db.r7g.large"]
    )
    multi_az: bool = Field(description="Keep a standby in another zone that takes over", examples=["true"])
    allocated_storage_gib: int = Field(20, ge=20, le=65536, description="Initial storage, GiB of gp3", examples=["50"])
    max_allocated_storage_gib: int = Field(
        100, ge=22, le=65536, description="Limit of storage autoscaling, GiB", examples=["200"]
    )
    backup_retention_days: int = Field(ge=1, le=35, description="Days of point-in-time recovery", examples=["15"])
    backup_window: DailyWindow = Field("02:00-02:45", description="When to take the daily backup, UTC")
    maintenance_window: WeeklyWindow = Field("sun:05:30-sun:06:30", description="When AWS may patch the database, UTC")
    insights: Literal["off", "standard", "advanced"] = Field(
        description="Mode of Database Insights. MySQL has none on micro and small burstable classes"
    )
    monitoring_interval_seconds: Literal[1, 5, 10, 15, 30, 60] = Field(
        60, description="Seconds between operating system metrics (enhanced monitoring)"
    )
    sample_data: bool = Field(description="Load the sample products during the schema migration", examples=["true"])

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
        ge=1,
        le=3650,
        description="Days to keep each daily backup of the database in a vault. Unset: no backup plan",
        examples=["35"],
    )
    vault_name: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9_-]{2,50}$",
        description="Existing backup vault to use. Unset: creates one",
        examples=["central-vault"],
    )


class AppConfig(Settings):
    """The Lambda functions of the app tier."""

    architecture: Literal["arm64", "x86_64"] = Field("arm64", description="Processor of the functions")
    python: Literal["3.11", "3.12", "3.13", "3.14"] = Field("3.14", description="Python version of the functions")
    memory_mib: int = Field(1024, ge=128, le=10240, description="Memory of the app's function, MiB; CPU scales with it")
    reserved_concurrency: int | None = Field(
        ge=1,
        description="Limit of requests served at once, and 1 for each helper function, reserved from the account's "
        "quota. Unset: reserves nothing, for new accounts with a small quota",
        examples=["100"],
    )

    @property
    def helper_concurrency(self) -> int | None:
        """What is reserved for each helper function, which runs once at a time; None: nothing is reserved."""
        return None if self.reserved_concurrency is None else 1


class WebConfig(Settings):
    """The load balancer's listener."""

    allowed_cidrs: tuple[IPv4Network, ...] = Field(
        description="Addresses that may connect, comma-separated. dev has no default. Without a certificate at most "
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

    @property
    def admitted_addresses(self) -> int:
        """How many addresses may connect, each counted once."""
        return sum(network.num_addresses for network in collapse_addresses(self.allowed_cidrs))


class StageConfig(Settings):
    """All settings of one stage, once `load` has checked them."""

    stage: str
    account: str | None = Field(
        None,
        pattern=r"^\d{12}$",
        description="AWS account to deploy to. Required by `make deploy`. Unset: environment-agnostic",
        examples=["111122223333"],
    )
    region: str | None = Field(
        None,
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
        description="AWS region to deploy to. Required by `make deploy`. Unset: environment-agnostic",
        examples=["eu-west-1"],
    )
    certificate_arn: str | None = Field(
        None,
        pattern=r"^arn:[a-z-]+:acm:",
        description="ACM certificate of the HTTPS listener",
        examples=["arn:aws:acm:eu-west-1:111122223333:certificate/11111111-2222-3333-4444-555555555555"],
    )
    domain_name: str | None = Field(
        None,
        pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$",
        description="Instead of `certificate_arn`: the name to create a certificate and a DNS record for. "
        "Needs `hosted_zone_id`",
        examples=["shop.example.com"],
    )
    hosted_zone_id: str | None = Field(
        None, pattern=r"^Z[A-Z0-9]+$", description="Route 53 zone of `domain_name`", examples=["Z0123456789ABCDEFGHIJ"]
    )
    permissions_boundary: str | None = Field(
        None,
        pattern=r"^[\w+=,.@/-]{1,128}$",
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
        if not self.https and self.web.admitted_addresses > MOST_ADDRESSES_WITHOUT_TLS:
            raise ValueError(
                f"web.allowed_cidrs={shown(self.web.allowed_cidrs)} admits {self.web.admitted_addresses:,} addresses; "
                f"without a certificate, passwords travel in plain text, so at most {MOST_ADDRESSES_WITHOUT_TLS:,} are "
                "allowed: give fewer, for example web.allowed_cidrs=203.0.113.7/32, or give certificate_arn, or "
                "domain_name with hosted_zone_id"
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


def settings() -> dict[str, FieldInfo]:
    """Every setting by its dotted key, in the order of the model."""
    return {key: field for key, field in _walk(StageConfig) if key != "stage"}


def values(config: StageConfig) -> dict[str, object]:
    """The value of every setting by its dotted key."""
    return {key: reduce(getattr, key.split("."), cast(object, config)) for key in settings()}


def shown(value: object) -> str:
    """A value as it is written on the command line."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def example(key: str) -> str:
    """A value that a setting may have, as it is written on the command line."""
    field = settings()[key]
    if field.examples:
        return str(field.examples[0])
    return shown(STAGES["prod"].get(key, None if field.is_required() else field.default))


def load(stage: str, overrides: Mapping[str, str] | None = None) -> StageConfig:
    """The settings of `stage` with `overrides` (dotted key to text) laid over them.

    Text is converted by the setting's type: ``none`` where a setting may be unset, comma-separated for a list. It is
    then checked as strictly as a value of `STAGES`.

    :raises ConfigError: for an unknown stage or key, and for every value that is not allowed
    """
    if stage not in STAGES:
        raise ConfigError(f"unknown stage {stage!r}; allowed: {', '.join(STAGES)}")
    fields = settings()
    values = dict(STAGES[stage])
    for key, text in (overrides or {}).items():
        if key not in fields:
            raise ConfigError(f"unknown setting {key!r}.{_meant(key, fields)} All settings: docs/settings.md")
        values[key] = _from_text(fields[key], text)
    try:
        # JSON mode makes addresses and tuples out of text and lists, and is strict about all else.
        return StageConfig.model_validate_json(json.dumps({"stage": stage} | _nested(values)))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(fields, values | dict(overrides or {}), error))) from error


def _meant(key: str, fields: Mapping[str, FieldInfo]) -> str:
    close = get_close_matches(key, ["stage", *fields], n=2)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _walk(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _from_text(field: FieldInfo, text: str) -> object:
    kinds = get_args(field.annotation) or (field.annotation,)
    if get_origin(field.annotation) is tuple:
        return [] if text == "none" else [item.strip() for item in text.split(",")]
    if NoneType in kinds and text == "none":
        return None
    if str in kinds or any(isinstance(kind, str) for kind in kinds):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {key: value for key, value in values.items() if "." not in key}
    for group in {key.partition(".")[0] for key in values if "." in key}:
        tree[group] = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{group}.")}
    return tree


def _explain(fields: Mapping[str, FieldInfo], given: Mapping[str, object], error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        message = problem["msg"].removeprefix("Value error, ")
        key = next((k for k in fields if tuple(k.split(".")) == problem["loc"][: k.count(".") + 1]), None)
        if key is None:
            yield message
            continue
        # A regular expression explains nothing; the example does.
        reason = "it has another form" if problem["type"] == "string_pattern_mismatch" else message
        yield (
            f"{key}={given.get(key)} is not allowed: {reason}. Example: {key}={example(key)}. {fields[key].description}"
        )
