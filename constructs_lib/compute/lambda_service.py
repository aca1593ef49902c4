"""The app tier as one Lambda function."""

from collections.abc import Mapping
from typing import cast

import jsii
from aws_cdk import Duration, Stack
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from constructs_lib.compute.data_access import DataAccess
from constructs_lib.compute.live_alias import DIGEST_VARIABLE, LiveAlias, digest
from constructs_lib.compute.vpc_function import FunctionSettings, VpcFunction


class LambdaService(Construct):
    """A web app in front of one cache and one database, with exactly the rights to use them.

    Requests go to the version that its `alias` is on. `GradualRelease` moves that slowly.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: FunctionSettings,
        description: str,
        code: lambda_.Code,
        handler: str,
        data: DataAccess,
        environment: Mapping[str, str] | None = None,
        memory_mib: int = 1024,
        timeout: Duration | None = None,
        reserved_concurrency: int | None = None,
    ) -> None:
        """
        :param settings: of the function; its group must reach cache, database and the Secrets Manager endpoint
        :param description: of the function and of its role
        :param code: the bundled code, see `python_bundle`
        :param handler: what Lambda calls, such as ``package.module.function``
        :param data: the cache and the database that it uses
        :param environment: variables besides those that name cache and database. Default: none
        :param memory_mib: MiB; the processor share follows it. Default: 1024
        :param timeout: longest time for a request. Default: 10 seconds
        :param reserved_concurrency: most requests served at once, taken from the account's quota. Default: none
            reserved
        """
        super().__init__(scope, construct_id)
        service = VpcFunction(
            self,
            "Function",
            settings=settings,
            description=description,
            code=code,
            handler=handler,
            environment={
                **data.environment,
                **(environment or {}),
                DIGEST_VARIABLE: digest(self, data.replaced_with),
            },
            memory_mib=memory_mib,
            timeout=timeout,
            reserved_concurrency=reserved_concurrency,
        )
        self.function = service.function
        self.log_group = service.log_group
        data.grant(service.role)
        self.alias = LiveAlias(self, "Live", function=service.function)

    @property
    def target(self) -> elbv2.IApplicationLoadBalancerTarget:
        """What a load balancer's listener sends requests to."""
        return _FunctionTarget(self.alias)


@jsii.implements(elbv2.IApplicationLoadBalancerTarget)
class _FunctionTarget:
    """CDK's own `LambdaTarget` lets the load balancers of every account invoke the function."""

    def __init__(self, function: lambda_.Alias) -> None:
        self._function = function

    def attach_to_application_target_group(
        self, target_group: elbv2.IApplicationTargetGroup
    ) -> elbv2.LoadBalancerTargetProps:
        # Registering the target needs the permission, so it cannot wait for the target group's own ARN; but that is
        # the group's name, if it was given one, and an id that AWS makes up.
        name = cast(elbv2.CfnTargetGroup, target_group.node.default_child).name
        self._function.add_permission(
            "LoadBalancer",
            principal=iam.ServicePrincipal("elasticloadbalancing.amazonaws.com"),
            source_arn=Stack.of(self._function).format_arn(
                service="elasticloadbalancing",
                resource="targetgroup",
                resource_name=f"{name}/*" if name else "*",
            ),
        )
        target_group.node.add_dependency(self._function.node.find_child("LoadBalancer"))
        return elbv2.LoadBalancerTargetProps(
            target_type=elbv2.TargetType.LAMBDA, target_json={"id": self._function.function_arn}
        )
