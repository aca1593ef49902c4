"""What outlives a stack, and for how long: the same answer in every stack of a stage."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

from constructs_lib import LogSettings
from stacks.settings import StageConfig

RETENTION_DAYS = {
    7: logs.RetentionDays.ONE_WEEK,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
}


def kept_if_protected(config: StageConfig) -> cdk.RemovalPolicy:
    """Of keys, secrets and logs: outlive the stack where the stage protects its data, go with it elsewhere.

    What a failed first deployment made goes with its rollback in any case: plain Retain would leave it behind, and the
    next attempt would find its name taken.
    """
    return cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if config.deletion_protection else cdk.RemovalPolicy.DESTROY


def log_settings(config: StageConfig, key: kms.IKey) -> LogSettings:
    """The stage's settings for every log group."""
    return LogSettings(
        key=key, retention=RETENTION_DAYS[config.log_retention_days], removal_policy=kept_if_protected(config)
    )
