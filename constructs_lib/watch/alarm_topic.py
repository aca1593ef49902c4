"""Where alarms and events go: one encrypted topic."""

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

PUBLISHERS = ("cloudwatch.amazonaws.com", "events.rds.amazonaws.com")


class AlarmTopic(Construct):
    """An SNS topic that CloudWatch alarms and RDS events of this account may publish to, encrypted by its own key.

    ElastiCache's events cannot go there: they need a topic without a customer's key ("Managing ElastiCache Amazon SNS
    notifications", ElastiCache User Guide). What they tell shows in the alarms of the nodes.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        """There is nothing to set. Give `topic` to whatever makes alarms."""
        super().__init__(scope, construct_id)
        key = kms.Key(
            self,
            "Key",
            description="Topic of alarms",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,  # messages do not outlive the topic
        )
        self.topic = sns.Topic(self, "Resource", master_key=key, enforce_ssl=True)
        # Both conditions keep anybody else's alarm out ("Enable compatibility between event sources from AWS services
        # and encrypted topics", SNS Developer Guide).
        for grant, actions, resource in (
            (self.topic.add_to_resource_policy, ["sns:Publish"], self.topic.topic_arn),
            (key.add_to_resource_policy, ["kms:Decrypt", "kms:GenerateDataKey*"], "*"),
        ):
            grant(
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal(publisher) for publisher in PUBLISHERS],
                    actions=actions,
                    resources=[resource],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            )
