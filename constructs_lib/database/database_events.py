"""RDS events that somebody should hear of."""

from aws_cdk import aws_rds as rds
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs_lib.database.database import Database

_INSTANCE_EVENTS = (
    "availability",
    "configuration change",
    "deletion",
    "failover",
    "failure",
    "low storage",
    "maintenance",
    "recovery",
)


class DatabaseEvents(Construct):
    """Tells a topic of failover, maintenance, failures and changes of one database and its parameters.

    The categories are those that Security Hub's RDS.20 to RDS.22 ask for, and failover, storage and availability.
    """

    def __init__(self, scope: Construct, construct_id: str, *, topic: sns.ITopic, database: Database) -> None:
        """
        :param topic: must let events.rds.amazonaws.com publish, see `AlarmTopic`
        :param database: the instance
        """
        super().__init__(scope, construct_id)
        self._topic = topic
        self._tell("Instance", "db-instance", _INSTANCE_EVENTS, database.instance.instance_identifier)
        self._tell("Parameters", "db-parameter-group", ("configuration change",), database.parameter_group_name)
        # No database in a VPC has such a group; Security Hub asks for the subscription all the same.
        self._tell("SecurityGroups", "db-security-group", ("configuration change", "failure"))

    def _tell(self, construct_id: str, source_type: str, categories: tuple[str, ...], *sources: str) -> None:
        rds.CfnEventSubscription(
            self,
            construct_id,
            sns_topic_arn=self._topic.topic_arn,
            source_type=source_type,
            event_categories=list(categories),
            source_ids=list(sources) or None,
        )
