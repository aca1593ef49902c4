"""The app: the function that serves, the migration before it, the relay beside it, and the load balancer in front."""

import aws_cdk as cdk
from aws_cdk import CfnOutput
from aws_cdk import aws_kms as kms
from constructs import Construct

from constructs_lib import (
    DataAccess,
    FunctionSettings,
    GradualRelease,
    InvalidationRelay,
    LambdaService,
    PathRate,
    SchemaMigration,
    WebEntry,
    WebFirewall,
    fingerprint,
)
from stacks import function_code
from stacks.data_stack import DataStack
from stacks.network_policy import LOAD_BALANCER
from stacks.network_stack import NetworkStack
from stacks.retention import kept_if_protected, log_settings
from stacks.service_alarms import PASSWORD_RATE, ServiceAlarms
from stacks.settings import StageConfig

DATABASE_USER = "storefront_app"
WEB_FUNCTION = "The storefront"
METRIC_NAMESPACE = "METRIC_NAMESPACE"  # the stage's name: another stage's metrics ring no alarm of this one
TAKE_PASSWORDS = (("POST", "/sessions"), ("PUT", "/users/me/password"))


class AppStack(cdk.Stack):
    """What serves. It holds no data, so it can be deleted and made again."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        env: cdk.Environment,
        network: NetworkStack,
        data: DataStack,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=config.stack_name("app"),
            description="cache-aside: load balancer, app, invalidation relay and schema migration",
            termination_protection=config.deletion_protection and "app" not in config.creating,
        )
        self.environment_key = kms.Key(
            self,
            "EnvironmentKey",
            description="Environments of the functions",
            enable_key_rotation=True,
            removal_policy=cdk.RemovalPolicy.DESTROY,  # it encrypts nothing that outlives the functions
        )
        functions = network.function_settings(config, self.environment_key)
        access = DataAccess(cache=data.cache, database=data.database, database_user=DATABASE_USER)
        migration = self._migration(config, functions, access, data.database_key)
        service = self._service(config, functions, access)
        relay = self._relay(config, functions, access)
        for function in (service.function, relay.function):
            function.node.add_dependency(migration.resource)
        entry = self._web_entry(config, network, service)
        alarms = ServiceAlarms(
            self,
            "ServiceAlarms",
            topic=network.alarm_topic,
            load_balancer=entry.load_balancer,
            service=service,
            relay=relay.function,
            namespace=config.name,
            firewall=self._firewall(config, network, entry) if config.web.firewall else None,
        )
        if config.app.release != "direct":
            GradualRelease(
                self, "Release", alias=service.alias, alarms=alarms.of_a_bad_release, pace=config.app.release
            )
        CfnOutput(self, "LoadBalancerUrl", value=entry.url)
        CfnOutput(self, "FunctionName", value=service.function.function_name)
        CfnOutput(self, "MigrationFunctionName", value=migration.function.function_name)
        CfnOutput(self, "FirstOperatorSecretArn", value=migration.first_operator.secret_arn)

    def _migration(
        self, config: StageConfig, functions: FunctionSettings, access: DataAccess, key: kms.IKey
    ) -> SchemaMigration:
        return SchemaMigration(
            self,
            "SchemaMigration",
            settings=functions,
            code=function_code.of_migration(config),
            handler="functions.schema_migration.handler.handler",
            data=access,
            encryption_key=key,
            reserve_concurrency=config.app.reserved_concurrency is not None,
            schema_hash=fingerprint(function_code.MIGRATIONS),
            sample_data=config.database.sample_data,
            secret_removal_policy=kept_if_protected(config),
        )

    def _service(self, config: StageConfig, functions: FunctionSettings, access: DataAccess) -> LambdaService:
        return LambdaService(
            self,
            "Service",
            settings=functions,
            description=WEB_FUNCTION,
            code=function_code.of_app(config),
            handler="storefront.lambda_handler.handler",
            data=access,
            environment={METRIC_NAMESPACE: config.name},
            memory_mib=config.app.memory_mib,
            reserved_concurrency=config.app.reserved_concurrency,
        )

    def _relay(self, config: StageConfig, functions: FunctionSettings, access: DataAccess) -> InvalidationRelay:
        return InvalidationRelay(
            self,
            "InvalidationRelay",
            settings=functions,
            code=function_code.of_app(config),
            handler="functions.invalidation_relay.handler.handler",
            data=access,
            environment={METRIC_NAMESPACE: config.name},
            reserved_concurrency=config.app.helper_concurrency,
        )

    def _web_entry(self, config: StageConfig, network: NetworkStack, service: LambdaService) -> WebEntry:
        return WebEntry(
            self,
            "WebEntry",
            vpc=network.network.vpc,
            vpc_subnets=network.network.public_subnets,
            security_group=network.security_groups[LOAD_BALANCER],
            target=service.target,
            target_group_name=f"{config.name}-app",
            certificate_arn=config.certificate_arn,
            domain_name=config.domain_name,
            hosted_zone_id=config.hosted_zone_id,
            access_log_days=config.log_retention_days,
            access_log_deletion_role=config.web.access_log_deletion_role,
            deletion_protection=config.deletion_protection and "app" not in config.creating,
        )

    def _firewall(self, config: StageConfig, network: NetworkStack, entry: WebEntry) -> WebFirewall:
        return WebFirewall(
            self,
            "Firewall",
            load_balancer=entry.load_balancer,
            name=config.name,
            log_settings=log_settings(config, network.log_key),
            rate_limit=config.web.firewall_rate_limit,
            path_rates=[
                PathRate(
                    name=PASSWORD_RATE,
                    requests=TAKE_PASSWORDS,
                    limit=config.web.firewall_password_limit,
                    window_seconds=config.web.firewall_password_window_seconds,
                )
            ],
            count_only=config.web.firewall_count_only,
        )
