"""The database's schema, brought up to date by the deployment itself."""

import json
from typing import cast

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import custom_resources as cr
from constructs import Construct

from constructs_lib.access.managed_role import ManagedRole
from constructs_lib.access.secret_access import grant_secret_read
from constructs_lib.compute.data_access import DataAccess
from constructs_lib.compute.vpc_function import FunctionSettings, VpcFunction, allow_tracing, grant_environment

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
        settings: FunctionSettings,
        code: lambda_.Code,
        handler: str,
        data: DataAccess,
        encryption_key: kms.IKey,
        schema_hash: str,
        sample_data: bool = False,
        reserve_concurrency: bool = False,
        secret_removal_policy: RemovalPolicy = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    ) -> None:
        """
        :param settings: of the function; its group must reach cache, database and the Secrets Manager endpoint
        :param code: the bundled code, see `python_bundle`
        :param handler: what Lambda calls, such as ``package.module.function``
        :param data: the database to migrate, the role that the function makes in it for the app, and the cache, from
            which it deletes what the release made obsolete
        :param encryption_key: encrypts the first operator's secret
        :param schema_hash: changes when the migrations do, and then makes the function run again
        :param sample_data: whether the function also loads sample data. Default: False
        :param reserve_concurrency: keep one execution of the account's quota for each function, and allow no more.
            Default: False
        :param secret_removal_policy: what happens to the first operator's secret when the stack is deleted. Default: it
            is kept
        """
        super().__init__(scope, construct_id)
        self.first_operator = self._first_operator(encryption_key, secret_removal_policy)
        concurrency = ONE_AT_A_TIME if reserve_concurrency else None
        migration = VpcFunction(
            self,
            "Function",
            settings=settings,
            description="Brings the database's schema up to date during a deployment",
            code=code,
            handler=handler,
            environment={
                **data.environment,
                "RDS_MASTER_SECRET_ARN": data.database.master_secret.secret_arn,
                "OPERATOR_SECRET_ARN": self.first_operator.secret_arn,
            },
            memory_mib=512,
            timeout=TIMEOUT,
            reserved_concurrency=concurrency,
        )
        self.function = migration.function
        data.database.grant_master_secret_read(migration.role)
        data.cache.grant_connect(migration.role)
        grant_secret_read(migration.role, self.first_operator, encryption_key)
        self.resource = CustomResource(
            self,
            "Resource",
            resource_type="Custom::SchemaMigration",
            service_token=self._framework(migration.function, settings, concurrency),
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

    def _framework(self, function: lambda_.Function, settings: FunctionSettings, concurrency: int | None) -> str:
        log_group = settings.log_settings.group(self, "FrameworkLogGroup")
        role = ManagedRole(
            self,
            "FrameworkRole",
            description="Invokes the migration function and answers CloudFormation",
            service="lambda.amazonaws.com",
        )
        log_group.grant_write(role)
        allow_tracing(role)
        grant_environment(role, settings.environment_key)
        provider = cr.Provider(
            self,
            "Provider",
            on_event_handler=function,
            framework_on_event_role=role,
            provider_function_env_encryption=settings.environment_key,
            log_group=log_group,
        )
        # What CDK's provider has no props for.
        framework = cast(lambda_.CfnFunction, provider.node.find_child("framework-onEvent").node.default_child)
        framework.memory_size = 256
        framework.tracing_config = lambda_.CfnFunction.TracingConfigProperty(mode="Active")
        framework.reserved_concurrent_executions = concurrency
        return provider.service_token
