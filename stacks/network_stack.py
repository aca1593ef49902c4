"""The network: VPC, security groups, endpoints; and what all stacks share: the key of logs, the topic of alarms."""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from constructs import Construct

from constructs_lib import (
    DATABASE_ENGINES,
    HTTP_PORT,
    HTTPS_PORT,
    AlarmTopic,
    FunctionSettings,
    LogKey,
    Network,
    SecurityGroups,
)
from stacks.function_code import ARCHITECTURES
from stacks.network_policy import APP, ENDPOINTS, GROUPS, allowed_paths
from stacks.retention import kept_if_protected, log_settings
from stacks.settings import StageConfig


class NetworkStack(cdk.Stack):
    """All that decides who can reach whom."""

    def __init__(self, scope: Construct, construct_id: str, *, config: StageConfig, env: cdk.Environment) -> None:
        # Read by `availability_zones`, which CDK asks for while the VPC is made.
        self._zones = config.network.availability_zones or tuple(
            cdk.Fn.select(index, cdk.Fn.get_azs()) for index in range(config.network.zones)
        )
        super().__init__(
            scope,
            construct_id,
            env=env,
            stack_name=config.stack_name("network"),
            description="cache-aside: VPC, security groups and endpoints",
            termination_protection=config.deletion_protection and "network" not in config.creating,
        )
        self.log_key = LogKey(
            self,
            "LogKey",
            description="Log groups of the cache-aside stacks",
            removal_policy=kept_if_protected(config),
        )
        self.alarm_topic = AlarmTopic(self, "AlarmTopic").topic
        cdk.CfnOutput(self, "AlarmTopicArn", value=self.alarm_topic.topic_arn)
        self.network = Network(
            self,
            "Network",
            cidr=str(config.network.cidr),
            zones=config.network.zones,
            nat_gateways=config.network.nat_gateways,
            reserve_concurrency=config.app.reserved_concurrency is not None,
            log_settings=log_settings(config, self.log_key),
        )
        self.security_groups = SecurityGroups(
            self,
            "SecurityGroups",
            vpc=self.network.vpc,
            groups=GROUPS,
            paths=allowed_paths(
                listener_port=HTTPS_PORT if config.https else HTTP_PORT,
                listener_cidrs=[str(cidr) for cidr in config.web.allowed_cidrs],
                database_port=DATABASE_ENGINES[config.database.engine].port,
                internet_egress=config.network.nat_gateways > 0,
            ),
        )
        # All that the app tier calls: RDS tokens are signed in the function, and Lambda itself ships logs and traces.
        self.network.add_interface_endpoint(
            "SecretsManager",
            ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
            security_group=self.security_groups[ENDPOINTS],
        )
        if config.cache.rotation_days:
            self.network.add_interface_endpoint(
                "ElastiCacheApi",
                ec2.InterfaceVpcEndpointAwsService.ELASTICACHE,
                security_group=self.security_groups[ENDPOINTS],
            )

    def function_settings(self, config: StageConfig, environment_key: kms.IKey) -> FunctionSettings:
        """What all functions of a stack have in common. `environment_key` encrypts their environments."""
        return FunctionSettings(
            vpc=self.network.vpc,
            vpc_subnets=self.network.app_subnets,
            security_group=self.security_groups[APP],
            python=config.app.python,
            architecture=ARCHITECTURES[config.app.architecture],
            environment_key=environment_key,
            log_settings=log_settings(config, self.log_key),
        )

    @property
    def availability_zones(self) -> list[str]:
        """The configured zones, or the region's first ones as CloudFormation finds them: no look-up, no guessing."""
        return list(self._zones)
