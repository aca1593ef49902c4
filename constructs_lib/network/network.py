"""The VPC: who can be reached from where, before any security group is asked."""

from typing import cast

from aws_cdk import Aws, CfnResource, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from constructs_lib.access.managed_role import ManagedRole
from constructs_lib.access.source import from_this_account
from constructs_lib.errors import PropError
from constructs_lib.watch.log_groups import LogSettings

MOST_ZONES = 3


class Network(Construct):
    """Public subnets, private app subnets and isolated data subnets in every zone; flow logs; a closed default group.

    Address ranges are laid out for three zones, so that adding one later moves no existing subnet.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cidr: str,
        zones: int,
        log_settings: LogSettings,
        nat_gateways: int = 0,
        reserve_concurrency: bool = False,
    ) -> None:
        """
        :param cidr: address range of the VPC
        :param zones: number of availability zones, at most 3; the stack's `availability_zones` names them
        :param log_settings: of the flow logs
        :param nat_gateways: gateways through which the app subnets reach the internet. Default: none, they reach only
            the VPC and its endpoints
        :param reserve_concurrency: keep one execution of the account's quota for the function that closes the default
            group. Default: False
        :raises PropError: for a number of zones that is not 1 to 3
        """
        super().__init__(scope, construct_id)
        if not 1 <= zones <= MOST_ZONES:
            raise PropError(f"zones must be 1 to {MOST_ZONES}, got: {zones}")
        app_subnets = ec2.SubnetType.PRIVATE_WITH_EGRESS if nat_gateways else ec2.SubnetType.PRIVATE_ISOLATED
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(cidr),
            max_azs=zones,
            reserved_azs=MOST_ZONES - zones,
            nat_gateways=nat_gateways,
            restrict_default_security_group=True,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(name="App", subnet_type=app_subnets, cidr_mask=24),
                ec2.SubnetConfiguration(name="Data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
        )
        self.public_subnets = ec2.SubnetSelection(subnet_group_name="Public")
        self.app_subnets = ec2.SubnetSelection(subnet_group_name="App")
        self.data_subnets = ec2.SubnetSelection(subnet_group_name="Data")
        flow_logs = log_settings.group(self, "FlowLogGroup")
        self._complete_handler(log_settings, reserve_concurrency)
        role = ManagedRole(
            self,
            "FlowLogRole",
            service="vpc-flow-logs.amazonaws.com",
            description="Writes the flow logs",
            # "IAM role for publishing flow logs to CloudWatch Logs", Amazon VPC User Guide.
            conditions=from_this_account(
                Stack.of(self).format_arn(service="ec2", resource="vpc-flow-log", resource_name="*")
            ),
        )
        self.vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow_logs, role))

    def _complete_handler(self, log_settings: LogSettings, reserve_concurrency: bool) -> None:
        # CDK's own function that closes the default group would otherwise log to a group that never expires.
        provider = Stack.of(self).node.find_child("Custom::VpcRestrictDefaultSGCustomResourceProvider")
        handler = cast(CfnResource, provider.node.find_child("Handler"))
        group = log_settings.group(self, "DefaultGroupHandlerLogGroup")
        handler.add_property_override("LoggingConfig.LogGroup", group.log_group_name)
        if reserve_concurrency:
            handler.add_property_override("ReservedConcurrentExecutions", 1)

    def add_interface_endpoint(
        self, construct_id: str, service: ec2.InterfaceVpcEndpointAwsService, *, security_group: ec2.ISecurityGroup
    ) -> ec2.InterfaceVpcEndpoint:
        """A private way to one AWS service from the app subnets.

        Only `security_group` decides who reaches it. Its policy lets nobody through but principals of this account, and
        to nothing but resources of this account: code that is taken over cannot carry data into a foreign account.
        """
        endpoint = ec2.InterfaceVpcEndpoint(
            self,
            construct_id,
            vpc=self.vpc,
            service=service,
            subnets=self.app_subnets,
            security_groups=[security_group],
            open=False,
        )
        # It narrows what IAM allows and allows nothing by itself, so that it names neither actions nor principals.
        endpoint.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["*"],
                resources=["*"],
                conditions={
                    "StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID},
                    # GetRandomPassword, for one, is about no resource.
                    "StringEqualsIfExists": {"aws:ResourceAccount": Aws.ACCOUNT_ID},
                },
            )
        )
        return endpoint
