"""A Python Lambda function inside the VPC, with the least rights that it can run with."""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from constructs_lib.log_groups import LogSettings

NEWEST_PYTHON = "3.14"
_ENI_ACTIONS = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)


class VpcFunction(Construct):
    """A function with a role of its own, a declared log group, JSON logs and tracing."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        code: lambda_.Code,
        handler: str,
        python: str,
        architecture: lambda_.Architecture,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection,
        security_group: ec2.ISecurityGroup,
        environment: Mapping[str, str],
        log_settings: LogSettings,
        memory_mib: int = 1024,
        timeout: Duration | None = None,
        reserved_concurrency: int | None = None,
    ) -> None:
        """
        :param python: version of the runtime, the one that `code` was bundled for
        :param environment: never a secret; secrets are read at run time by their ARN
        :param log_settings: of the function's log group
        :param memory_mib: MiB; the processor share follows it. Default: 1024
        :param timeout: Default: 10 seconds
        :param reserved_concurrency: most executions at once, taken from the account's quota. Default: none reserved
        """
        super().__init__(scope, construct_id)
        log_group = log_settings.group(self, "LogGroup")
        self.role = iam.Role(
            self, "Role", description=description, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )
        self.function = lambda_.Function(
            self,
            "Resource",
            description=description,
            code=code,
            handler=handler,
            runtime=lambda_.Runtime(f"python{python}", lambda_.RuntimeFamily.PYTHON),
            architecture=architecture,
            role=self.role,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
            security_groups=[security_group],
            environment=dict(environment),
            memory_size=memory_mib,
            timeout=timeout or Duration.seconds(10),
            reserved_concurrent_executions=reserved_concurrency,
            tracing=lambda_.Tracing.ACTIVE,
            logging_format=lambda_.LoggingFormat.JSON,
            log_group=log_group,
        )
        log_group.grant_write(self.role)
        _allow_network_interfaces(self.role)
        self._acknowledge(python)

    def _acknowledge(self, python: str) -> None:
        Validations.of(self.role).acknowledge(
            Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="Lambda's network interface and X-Ray actions have no resource to name; "
                "the function's own code is denied the former",
            )
        )
        if python != NEWEST_PYTHON:
            Validations.of(self.function).acknowledge(
                Acknowledgment(
                    id="AwsSolutions-L1",
                    reason=f"The stage asks for Python {python}, so that the bundle also runs where it was made",
                )
            )


def _allow_network_interfaces(role: iam.Role) -> None:
    role.add_to_policy(iam.PolicyStatement(actions=list(_ENI_ACTIONS), resources=["*"]))
    # The key is only there when the function's own code calls (Lambda Developer Guide, "Working with Lambda execution
    # environment credentials"), so this leaves the rights to the Lambda service alone.
    role.add_to_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=list(_ENI_ACTIONS),
            resources=["*"],
            conditions={"Null": {"lambda:SourceFunctionArn": "false"}},
        )
    )
