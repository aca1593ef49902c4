"""The data: cache and database, with the keys that encrypt them."""

import aws_cdk as cdk
from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from constructs_lib import (
    DATABASE_ENGINES,
    REDIS_7_1,
    SETTLE_PERIOD,
    VALKEY_8_2,
    Alarms,
    AuthToken,
    AuthTokenRotation,
    CacheAlarms,
    CacheUsers,
    Database,
    DatabaseAlarms,
    DatabaseBackup,
    DatabaseBackupAlarms,
    DatabaseEvents,
    ReplicationGroup,
)
from stacks import cache_rights, function_code, network_policy
from stacks.network_stack import NetworkStack
from stacks.retention import kept_if_protected, log_settings
from stacks.settings import StageConfig

ENGINES = {"redis": REDIS_7_1, "valkey": VALKEY_8_2}
DATABASE_NAME = "storefront"
REPLACES = (
    "cache.auth=iam: in a stage that was deployed with cache.auth=token this REPLACES the replication group by a new, "
    "empty one with other endpoints, and so does going back. The way without that: docs/token-to-iam.md"
)


class DataStack(cdk.Stack):
    """What must not be lost."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: StageConfig, env: cdk.Environment, network: NetworkStack
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=config.stack_name("data"),
            description="cache-aside: ElastiCache replication group and RDS database",
            termination_protection=config.deletion_protection and "data" not in config.creating,
        )
        self.cache = self._cache(config, network)
        if config.cache.rotation_days:
            self._auth_token_rotation(config, config.cache.rotation_days, network)
        CacheAlarms(self, "CacheAlarms", topic=network.alarm_topic, cache=self.cache)
        self.database_key = self._key("DatabaseKey", "Database, its snapshots and secrets", config)
        self.database = self._database(config, network)
        DatabaseAlarms(self, "DatabaseAlarms", topic=network.alarm_topic, database=self.database)
        DatabaseEvents(self, "DatabaseEvents", topic=network.alarm_topic, database=self.database)
        if config.backup.retention_days:
            self._backup(config, config.backup.retention_days, network)
        CfnOutput(self, "ElastiCacheEndpoint", value=self.cache.primary_endpoint)
        CfnOutput(self, "ElastiCacheReaderEndpoint", value=self.cache.reader_endpoint)
        CfnOutput(self, "RdsEndpoint", value=self.database.endpoint)
        CfnOutput(self, "OperationsPolicyArn", value=self._operations().managed_policy_arn)

    def _key(self, construct_id: str, description: str, config: StageConfig) -> kms.Key:
        return kms.Key(
            self,
            construct_id,
            description=description,
            enable_key_rotation=True,
            removal_policy=kept_if_protected(config),
        )

    def _cache(self, config: StageConfig, network: NetworkStack) -> ReplicationGroup:
        key = self._key("CacheKey", "Cache, its snapshots and AUTH token", config)
        protected = config.deletion_protection
        auth = config.cache.auth
        return ReplicationGroup(
            self,
            "Cache",
            vpc=network.network.vpc,
            vpc_subnets=network.network.data_subnets,
            security_group=network.security_groups[network_policy.CACHE],
            engine=ENGINES[config.cache.engine],
            node_type=config.cache.node_type,
            nodes=config.cache.nodes,
            multi_az=config.cache.multi_az,
            auth_token=self._auth_token(config, key) if auth == "token" else None,
            users=None if auth == "token" else self._users(config),
            former_token=self._former_token(config, key) if auth == "moved-to-iam" else None,
            encryption_key=key,
            snapshot_retention_days=config.cache.snapshot_retention_days,
            snapshot_window=config.cache.snapshot_window,
            maintenance_window=config.cache.maintenance_window,
            removal_policy=cdk.RemovalPolicy.SNAPSHOT if protected else cdk.RemovalPolicy.DESTROY,
            log_settings=log_settings(config, network.log_key),
        )

    def _auth_token(self, config: StageConfig, key: kms.Key) -> AuthToken:
        token = AuthToken(self, "AuthToken", encryption_key=key, removal_policy=kept_if_protected(config))
        CfnOutput(self, "AuthTokenSecretArn", value=token.secret.secret_arn)
        return token

    def _former_token(self, config: StageConfig, key: kms.Key) -> AuthToken:
        token = self._auth_token(config, key)
        # The app stack imports these until it is deployed after this one.
        for imported in (token.secret.secret_arn, key.key_arn):
            self.export_value(imported)
        return token

    def _users(self, config: StageConfig) -> CacheUsers:
        if config.cache.auth == "iam":
            cdk.Annotations.of(self).add_warning_v2("cache-aside:auth-replaces-the-cache", REPLACES)
        return CacheUsers(
            self,
            "CacheUsers",
            name=config.name,
            engine=config.cache.engine,
            commands=cache_rights.COMMANDS,
            key_patterns=cache_rights.KEY_PATTERNS,
        )

    def _auth_token_rotation(self, config: StageConfig, period_days: int, network: NetworkStack) -> None:
        environment_key = kms.Key(
            self,
            "RotationEnvironmentKey",
            description="Environment of the rotation function",
            enable_key_rotation=True,
            removal_policy=cdk.RemovalPolicy.DESTROY,  # it encrypts nothing that outlives the function
        )
        rotation = AuthTokenRotation(
            self,
            "AuthTokenRotation",
            settings=network.function_settings(config, environment_key),
            code=function_code.of_app(config),
            handler="functions.auth_token_rotation.handler.handler",
            cache=self.cache,
            period=cdk.Duration.days(period_days),
            reserved_concurrency=config.app.helper_concurrency,
        )
        Alarms(self, "AuthTokenRotationAlarms", topic=network.alarm_topic).add(
            "Errors",
            rotation.function.metric_errors(period=SETTLE_PERIOD),
            above=0,
            periods=12,
            datapoints=3,  # an error or two are the way to wait for a group that is busy
            says="AUTH token rotation keeps failing. The current token still works. See docs/rotation.md.",
        )

    def _database(self, config: StageConfig, network: NetworkStack) -> Database:
        settings = config.database
        return Database(
            self,
            "Database",
            vpc=network.network.vpc,
            vpc_subnets=network.network.data_subnets,
            security_group=network.security_groups[network_policy.DATABASE],
            engine=DATABASE_ENGINES[settings.engine],
            instance_identifier=config.name,
            instance_type=settings.instance_type,
            database_name=DATABASE_NAME,
            encryption_key=self.database_key,
            multi_az=settings.multi_az,
            allocated_storage_gib=settings.allocated_storage_gib,
            max_allocated_storage_gib=settings.max_allocated_storage_gib,
            backup_retention_days=settings.backup_retention_days,
            backup_window=settings.backup_window,
            maintenance_window=settings.maintenance_window,
            insights=settings.insights,
            monitoring_interval_seconds=settings.monitoring_interval_seconds,
            deletion_protection=config.deletion_protection,
            created="data" not in config.creating,
            log_settings=log_settings(config, network.log_key),
        )

    def _backup(self, config: StageConfig, retention_days: int, network: NetworkStack) -> None:
        database_backup = DatabaseBackup(
            self,
            "DatabaseBackup",
            database=self.database,
            encryption_key=self.database_key,
            hour=config.backup_hour,
            retention_days=retention_days,
            vault_name=config.backup.vault_name,
            new_vault_name=config.name,
            compliance=config.backup.vault_lock == "compliance",
            copy_to_vault_arn=config.backup.copy_to_vault_arn,
            removal_policy=kept_if_protected(config),
        )
        DatabaseBackupAlarms(self, "DatabaseBackupAlarms", topic=network.alarm_topic, database_backup=database_backup)

    def _operations(self) -> iam.ManagedPolicy:
        policy = iam.ManagedPolicy(self, "Operations", description="Look at the cache, change nothing")
        self.cache.grant_describe(policy)
        return policy
