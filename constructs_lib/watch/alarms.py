"""Alarms that all tell one topic."""

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from constructs_lib.errors import PropError


class Alarms(Construct):
    """A group of alarms. The topic hears when one begins and when it is over."""

    def __init__(self, scope: Construct, construct_id: str, *, topic: sns.ITopic) -> None:
        """
        :param topic: must let cloudwatch.amazonaws.com publish, see `AlarmTopic`
        """
        super().__init__(scope, construct_id)
        self._action = actions.SnsAction(topic)

    def add(
        self,
        construct_id: str,
        metric: cloudwatch.IMetric,
        *,
        says: str,
        above: float | None = None,
        below: float | None = None,
        periods: int = 5,
        datapoints: int | None = None,
        silence_is_wrong: bool = False,
    ) -> cloudwatch.Alarm:
        """One alarm.

        :param says: what is wrong when it rings and where to look; the alarm's description
        :param above: it rings above this value. Default: none; give this or `below`
        :param below: it rings below this value. Default: none
        :param periods: how many of the metric's periods are looked at. Default: 5
        :param datapoints: how many of them must be wrong. Default: all
        :param silence_is_wrong: count a period without data as wrong. Default: False, as one in order
        :raises PropError: for both limits, or none
        """
        if above is not None and below is None:
            threshold, operator = above, cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
        elif below is not None and above is None:
            threshold, operator = below, cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
        else:
            raise PropError(f"give above or below, got: {above} and {below}")
        breaching, in_order = cloudwatch.TreatMissingData.BREACHING, cloudwatch.TreatMissingData.NOT_BREACHING
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            alarm_description=says,
            threshold=threshold,
            comparison_operator=operator,
            evaluation_periods=periods,
            datapoints_to_alarm=datapoints or periods,
            treat_missing_data=breaching if silence_is_wrong else in_order,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        return alarm
