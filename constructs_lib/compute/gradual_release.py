"""Requests move to a new version step by step, and back when an alarm rings."""

from collections.abc import Sequence
from typing import Literal, cast

from aws_cdk import Aws, CfnCodeDeployLambdaAliasUpdate, CfnUpdatePolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from constructs_lib.access.managed_role import ManagedRole
from constructs_lib.access.source import from_this_account

Pace = Literal["linear", "all_at_once"]

_PACES = {
    "linear": "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
    "all_at_once": "CodeDeployDefault.LambdaAllAtOnce",
}


class GradualRelease(Construct):
    """CodeDeploy moves the alias whenever a deployment publishes a version; CloudFormation waits for it.

    An alarm that rings meanwhile moves the alias back and fails the deployment, which CloudFormation then rolls back.
    An alarm that rings already fails it at once, so the deployment that ends the alarm has to do without this
    construct: CloudFormation then moves the alias by itself. The first deployment makes the alias and moves nothing.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        alias: lambda_.Alias,
        alarms: Sequence[cloudwatch.IAlarm],
        pace: Pace,
    ) -> None:
        """
        :param alias: what callers use
        :param alarms: those that ring when a new version is bad, ten at most
        :param pace: ``linear``, a tenth of the requests more each minute; or ``all_at_once``, which is over before most
            alarms can ring
        """
        super().__init__(scope, construct_id)
        application = codedeploy.CfnApplication(self, "Application", compute_platform="Lambda")
        role = self._role(alias)
        group = codedeploy.CfnDeploymentGroup(
            self,
            "Resource",
            application_name=application.ref,
            service_role_arn=role.role_arn,
            deployment_config_name=_PACES[pace],
            deployment_style=codedeploy.CfnDeploymentGroup.DeploymentStyleProperty(
                deployment_type="BLUE_GREEN", deployment_option="WITH_TRAFFIC_CONTROL"
            ),
            alarm_configuration=codedeploy.CfnDeploymentGroup.AlarmConfigurationProperty(
                enabled=True,
                alarms=[codedeploy.CfnDeploymentGroup.AlarmProperty(name=alarm.alarm_name) for alarm in alarms],
            ),
            auto_rollback_configuration=codedeploy.CfnDeploymentGroup.AutoRollbackConfigurationProperty(
                enabled=True,
                events=["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
            ),
        )
        group.node.add_dependency(role.node.find_child("Policy"))  # the role itself is referred to
        resource = cast(lambda_.CfnAlias, alias.node.default_child)
        resource.cfn_options.update_policy = CfnUpdatePolicy(
            code_deploy_lambda_alias_update=CfnCodeDeployLambdaAliasUpdate(
                application_name=application.ref, deployment_group_name=group.ref
            )
        )

    def _role(self, alias: lambda_.Alias) -> ManagedRole:
        groups = f"arn:{Aws.PARTITION}:codedeploy:{Aws.REGION}:{Aws.ACCOUNT_ID}:deploymentgroup:*"
        role = ManagedRole(
            self,
            "Role",
            description="Moves the alias of a function",
            service="codedeploy.amazonaws.com",
            conditions=from_this_account(groups, if_known=True),
        )
        function = alias.version.lambda_.function_arn
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
                resources=[function, f"{function}:{alias.alias_name}"],
            )
        )
        # As AWS's own policy AWSCodeDeployRoleForLambdaLimited has it.
        role.add_to_policy(iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"]))
        return role
