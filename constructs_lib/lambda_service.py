"""The app tier as one Lambda function."""

from collections.abc import Mapping

import jsii
from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from constructs_lib.data_access import data_environment, grant_data_access
from constructs_lib.database import Database
from constructs_lib.log_groups import LogSettings
from constructs_lib.redis_replication_group import RedisReplicationGroup
from constructs_lib.vpc_function import VpcFunction


class LambdaService(Construct):
    """A web app in front of one cache and one database, with exactly the rights to use them."""

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
        environment_key: kms.IKey,
        log_settings: LogSettings,
        memory_mib: int = 1024,
        reserved_concurrency: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        :param python: version of the runtime, the one that `code` was bundled for
        :param security_group: must be allowed to reach cache, database and the Secrets Manager endpoint
        :param database_user: the database role to connect as, by IAM token
        :param environment_key: encrypts the function's environment
        :param memory_mib: MiB; the processor share follows it. Default: 1024
        :param reserved_concurrency: most requests served at once, taken from the account's quota. Default: none
        :param environment: variables besides those that name cache and database. Default: none
        """
        super().__init__(scope, construct_id)
        service = VpcFunction(
            self,
            "Function",
            description="The storefront",
            code=code,
            handler=handler,
            python=python,
            architecture=architecture,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_group=security_group,
            environment={**data_environment(cache, database, database_user), **(environment or {})},
            environment_key=environment_key,
            log_settings=log_settings,
            memory_mib=memory_mib,
            timeout=Duration.seconds(10),
            reserved_concurrency=reserved_concurrency,
        )
        self.function = service.function
        grant_data_access(service.role, cache, database, database_user)

    @property
    def target(self) -> elbv2.IApplicationLoadBalancerTarget:
        """What a load balancer's listener sends requests to."""
        return _FunctionTarget(self.function)


@jsii.implements(elbv2.IApplicationLoadBalancerTarget)
class _FunctionTarget:
    """CDK's own `LambdaTarget` lets the load balancers of every account invoke the function."""

    def __init__(self, function: lambda_.Function) -> None:
        self._function = function

    def attach_to_application_target_group(
        self, target_group: elbv2.IApplicationTargetGroup
    ) -> elbv2.LoadBalancerTargetProps:
        # Registering the target needs the permission, so it cannot wait for the target group's own ARN.
        self._function.add_permission(
            "LoadBalancer",
            principal=iam.ServicePrincipal("elasticloadbalancing.amazonaws.com"),
            source_arn=Stack.of(self._function).format_arn(
                service="elasticloadbalancing", resource="targetgroup", resource_name="*"
            ),
        )
        target_group.node.add_dependency(self._function.node.find_child("LoadBalancer"))
        return elbv2.LoadBalancerTargetProps(
            target_type=elbv2.TargetType.LAMBDA, target_json={"id": self._function.function_arn}
        )
