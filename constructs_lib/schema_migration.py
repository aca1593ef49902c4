"""The database's schema, brought up to date by the deployment itself."""

import json
from typing import cast

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import custom_resources as cr
from constructs import Construct

from constructs_lib.database import Database
from constructs_lib.log_groups import LogSettings
from constructs_lib.managed_role import ManagedRole
from constructs_lib.redis_replication_group import RedisReplicationGroup
from constructs_lib.secret_access import grant_secret_read
from constructs_lib.vpc_function import VpcFunction, allow_tracing, grant_environment

FIRST_OPERATOR = "operator"
TIMEOUT = Duration.minutes(5)
ONE_AT_A_TIME = 1


class SchemaMigration(Construct):
    """Migrates the database on create and whenever the migrations change. Depend on `resource` to come after it.

    The function is inside the VPC; the framework that answers CloudFormation stays outside, so that no route from the
    VPC to CloudFormation's response URL is needed. A failure fails the deployment with the function's own message.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        handler: str,
        python: str,
        architecture: lambda_.Architecture,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        security_group: ec2.ISecurityGroup,
        cache: RedisReplicationGroup,
        database: Database,
        database_user: str,
        encryption_key: kms.IKey,
        environment_key: kms.IKey,
        schema_hash: str,
        log_settings: LogSettings,
        sample_data: bool = False,
        reserve_concurrency: bool = False,
        secret_removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        """
        :param python: version of the runtime, the one that `code` was bundled for
        :param security_group: must be allowed to reach cache, database and the Secrets Manager endpoint
        :param cache: the function deletes from it what the flags of the release made obsolete
        :param database_user: the role that the function makes for the app
        :param encryption_key: encrypts the first operator's secret
        :param environment_key: encrypts the functions' environments
        :param schema_hash: changes when the migrations do, and then makes the function run again
        :param sample_data: whether the function also loads sample data. Default: False
        :param reserve_concurrency: keep one execution of the account's quota for each function, and allow no more.
            Default: False
        :param secret_removal_policy: what happens to that secret when the stack is deleted. Default: it is kept
        """
        super().__init__(scope, construct_id)
        self.first_operator = self._first_operator(encryption_key, secret_removal_policy)
        concurrency = ONE_AT_A_TIME if reserve_concurrency else None
        migration = VpcFunction(
            self,
            "Function",
            description="Brings the database's schema up to date during a deployment",
            code=code,
            handler=handler,
            python=python,
            architecture=architecture,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_group=security_group,
            environment={
                **cache.client_environment,
                "RDS_ENGINE": database.engine.name,
                "RDS_ENDPOINT": database.endpoint,
                "RDS_DB_NAME": database.database_name,
                "RDS_USER": database_user,
                "RDS_MASTER_SECRET_ARN": database.master_secret.secret_arn,
                "OPERATOR_SECRET_ARN": self.first_operator.secret_arn,
            },
            environment_key=environment_key,
            memory_mib=512,
            timeout=TIMEOUT,
            reserved_concurrency=concurrency,
            log_settings=log_settings,
        )
        database.grant_master_secret_read(migration.role)
        cache.grant_connect(migration.role)
        grant_secret_read(migration.role, self.first_operator, encryption_key)
        self.resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::SchemaMigration",
            service_token=self._framework(migration.function, environment_key, log_settings, concurrency),
            properties={"SchemaHash": schema_hash, "SampleData": str(sample_data).lower()},
        )

    def _first_operator(self, key: kms.IKey, removal_policy: RemovalPolicy) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            self,
            "FirstOperator",
            description="Login of the first operator, made by the schema migration if there is none of that name",
            encryption_key=key,
            removal_policy=removal_policy,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({"username": FIRST_OPERATOR}),
                generate_string_key="password",
                password_length=32,
                exclude_punctuation=True,
            ),
        )

    def _framework(
        self, function: lambda_.Function, environment_key: kms.IKey, log_settings: LogSettings, concurrency: int | None
    ) -> str:
        log_group = log_settings.group(self, "FrameworkLogGroup")
        role = ManagedRole(
            self,
            "FrameworkRole",
            description="Invokes the migration function and answers CloudFormation",
            service="lambda.amazonaws.com",
        )
        log_group.grant_write(role)
        allow_tracing(role)
        grant_environment(role, environment_key)
        provider = cr.Provider(
            self,
            "Provider",
            on_event_handler=function,
            framework_on_event_role=role,
            provider_function_env_encryption=environment_key,
            log_group=log_group,
        )
        # What CDK's provider has no props for.
        framework = cast(lambda_.CfnFunction, provider.node.find_child("framework-onEvent").node.default_child)
        framework.memory_size = 256
        framework.tracing_config = lambda_.CfnFunction.TracingConfigProperty(mode="Active")
        framework.reserved_concurrent_executions = concurrency
        return provider.service_token
