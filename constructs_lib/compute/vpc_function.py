"""A Python Lambda function inside the VPC, with the least rights that it can run with."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Aws, Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from constructs_lib.access.managed_role import ManagedRole
from constructs_lib.subnets import subnet_ids
from constructs_lib.watch.log_groups import LogSettings

# "Giving Lambda functions access to resources in an Amazon VPC", Lambda Developer Guide: Describe works on all
# resources only, and Delete needs every id. Resource types of the others: Service Authorization Reference, EC2.
_DESCRIBE = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")
_CREATE = "ec2:CreateNetworkInterface"
_DELETE = "ec2:DeleteNetworkInterface"
_ADDRESSES = ("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses")


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """What the functions of a stack have in common.

    :param vpc: the network that they run in
    :param vpc_subnets: their subnets; without a way to the internet, AWS is reached through interface endpoints
    :param security_group: decides what they reach; each construct says what it needs
    :param python: version of the runtime, such as ``3.14``; the one that their code is bundled for
    :param architecture: processor, the one that their code is bundled for
    :param environment_key: encrypts their environment variables; Lambda decrypts them as the function's role
    :param log_settings: of their log groups
    """

    vpc: ec2.IVpc
    vpc_subnets: ec2.SubnetSelection
    security_group: ec2.ISecurityGroup
    python: str
    architecture: lambda_.Architecture
    environment_key: kms.IKey
    log_settings: LogSettings


class VpcFunction(Construct):
    """A Python function with a role of its own, a declared log group, JSON logs and tracing.

    Its log group, its environment and its network interfaces are all that it may use; grant the rest to `role`.
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
        environment: Mapping[str, str],
        memory_mib: int = 1024,
        timeout: Duration | None = None,
        reserved_concurrency: int | None = None,
    ) -> None:
        """
        :param settings: what it has in common with the stack's other functions
        :param description: of the function and of its role
        :param code: the bundled code, see `python_bundle`
        :param handler: what Lambda calls, such as ``package.module.function``
        :param environment: variables. Never a secret: code reads secrets at run time by their ARN
        :param memory_mib: MiB; the processor share follows it. Default: 1024
        :param timeout: longest run. Default: 10 seconds
        :param reserved_concurrency: most executions at once, taken from the account's quota. Default: none reserved
        """
        super().__init__(scope, construct_id)
        self.log_group = settings.log_settings.group(self, "LogGroup")
        self.role = ManagedRole(self, "Role", description=description, service="lambda.amazonaws.com")
        self.function = lambda_.Function(
            self,
            "Resource",
            description=description,
            code=code,
            handler=handler,
            runtime=lambda_.Runtime(f"python{settings.python}", lambda_.RuntimeFamily.PYTHON),
            architecture=settings.architecture,
            role=self.role,
            vpc=settings.vpc,
            vpc_subnets=settings.vpc_subnets,
            security_groups=[settings.security_group],
            environment=dict(environment),
            environment_encryption=settings.environment_key,
            memory_size=memory_mib,
            timeout=timeout or Duration.seconds(10),
            reserved_concurrent_executions=reserved_concurrency,
            tracing=lambda_.Tracing.ACTIVE,
            logging_format=lambda_.LoggingFormat.JSON,
            log_group=self.log_group,
        )
        self.log_group.grant_write(self.role)
        grant_environment(self.role, settings.environment_key)
        _allow_network_interfaces(self.role, settings)


def grant_environment(grantee: iam.IGrantable, key: kms.IKey) -> None:
    """Allow a function's role to decrypt its environment: Lambda does it in the role's name, before the code starts.

    `Key.grant_decrypt` would write the role into the key's policy, too; CDK's default policy already lets IAM decide.
    """
    iam.Grant.add_to_principal(grantee=grantee, actions=["kms:Decrypt"], resource_arns=[key.key_arn])


def allow_tracing(role: iam.Role) -> None:
    """What a traced function needs. X-Ray's actions have no resource to name (Service Authorization Reference)."""
    role.add_to_policy(
        iam.PolicyStatement(actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"])
    )


def _allow_network_interfaces(role: iam.Role, settings: FunctionSettings) -> None:
    def arn(resource: str, name: str) -> str:
        # With parameters, so that the ARN reads the same in every environment, and in the register of exceptions.
        return f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}/{name}"

    interfaces = arn("network-interface", "*")
    subnets = [arn("subnet", subnet) for subnet in subnet_ids(settings.vpc, settings.vpc_subnets)]
    group = arn("security-group", settings.security_group.security_group_id)
    for actions, resources in (
        (_DESCRIBE, ["*"]),
        ([_CREATE], [interfaces, *subnets, group]),
        ([_DELETE], [arn("*", "*")]),
        (_ADDRESSES, [interfaces]),
    ):
        role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=resources))
    # The key is only there when the function's own code calls (Lambda Developer Guide, "Working with Lambda execution
    # environment credentials"), so this leaves the rights to the Lambda service alone, and to a service that the code
    # has called and that goes on in its name.
    role.add_to_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=[*_DESCRIBE, _CREATE, _DELETE, *_ADDRESSES],
            resources=["*"],
            conditions={
                "Null": {"lambda:SourceFunctionArn": "false"},
                "BoolIfExists": {"aws:ViaAWSService": "false"},
            },
        )
    )
