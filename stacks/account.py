"""What `make deploy` asks AWS about the account before it creates a stage: quotas, zones, and sizes of this region.

What the caller may not ask is said and not taken for a refusal: the deployment itself runs with the rights of CDK's
roles.
"""

from collections.abc import Collection, Iterator

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from stacks.settings import StageConfig

LEAST_UNRESERVED = 100  # executions that Lambda keeps for functions that reserve none ("Lambda quotas")
HELPERS = 5  # rotation, relay, migration and its framework, and the function that closes the default group


def problems(config: StageConfig, session: boto3.Session, creating: Collection[str]) -> Iterator[str]:
    """What of the account does not suffice to create those stacks, each with a remedy.

    :param creating: ``network``, ``data``, ``app``; nothing is asked of what exists
    """
    checks = {"network": _zones, "data": _instance_class, "app": _concurrency}
    for stack in creating:
        try:
            yield from checks[stack](config, session)
        except (BotoCoreError, ClientError) as error:
            yield f"note: not checked before: {error}"


def _zones(config: StageConfig, session: boto3.Session) -> Iterator[str]:
    own = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
    found = session.client("ec2").describe_availability_zones(Filters=own)["AvailabilityZones"]  # type: ignore[arg-type]
    names = sorted(zone["ZoneName"] for zone in found)
    if missing := set(config.network.availability_zones) - set(names):
        yield (
            f"network.availability_zones names {', '.join(sorted(missing))}, and this account has {', '.join(names)}"
        )
    if len(names) < config.network.zones:
        yield (
            f"network.zones={config.network.zones}, and this account has {len(names)} zones in {config.region}: "
            f"give -c network.zones={len(names)}"
        )


def _instance_class(config: StageConfig, session: boto3.Session) -> Iterator[str]:
    offered = session.client("rds").describe_orderable_db_instance_options(
        Engine=config.database.engine, DBInstanceClass=config.database.instance_type, Vpc=True, MaxRecords=20
    )["OrderableDBInstanceOptions"]
    if not offered:
        yield (
            f"database.instance_type={config.database.instance_type} cannot be had in {config.region}: choose another, "
            "such as the one of the generation before"
        )


def _concurrency(config: StageConfig, session: boto3.Session) -> Iterator[str]:
    if (reserved := config.app.reserved_concurrency) is None:
        return
    left = session.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    needed = reserved + HELPERS
    if left - needed < LEAST_UNRESERVED:
        most = left - LEAST_UNRESERVED - HELPERS
        smaller = f"-c app.reserved_concurrency={most} or " if most >= 1 else ""
        yield (
            f"app.reserved_concurrency={reserved} reserves {needed} Lambda executions with those of the helpers. The "
            f"account has {left} left, of which Lambda keeps {LEAST_UNRESERVED} unreserved: give {smaller}"
            "-c app.reserved_concurrency=none, or ask for a larger quota (Lambda, concurrent executions, L-B99A9384)"
        )
