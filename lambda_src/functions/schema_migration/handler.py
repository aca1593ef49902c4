"""The Lambda function that migrates the database, called by the Provider framework of aws_cdk.custom_resources.

Contract:
https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.custom_resources-readme.html#handling-lifecycle-events-onevent
"""

import json
import logging
import os
from typing import Any

from functions.schema_migration.migration import migrate, rotate_seal
from functions.schema_migration.settings import Login, MigrationError, Settings
from storefront.credentials import SecretUnavailableError, read_secret

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

# The same for ever: another one would make CloudFormation delete the resource that it believes was replaced.
_PHYSICAL_RESOURCE_ID = "schema-migration"


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Migrates on Create and Update and does nothing on Delete, whose database may be gone already or meant to be kept.

    Properties: SampleData, "true" or "false". A raised error fails the deployment, with its message as the reason.
    An operator invokes it with {"RequestType": "RotateSeal"}: see docs/rotation.md.
    """
    if event["RequestType"] == "Delete":
        return {"PhysicalResourceId": _PHYSICAL_RESOURCE_ID}
    settings = Settings.from_environment(os.environ)
    if event["RequestType"] == "RotateSeal":
        rotate_seal(settings, master=_login(settings.master_secret_arn))
        return {}
    revision = migrate(
        settings,
        master=_login(settings.master_secret_arn),
        operator=_login(settings.operator_secret_arn),
        sample_data=event["ResourceProperties"].get("SampleData") == "true",
    )
    logger.info("the database has revision %s", revision)
    return {"PhysicalResourceId": _PHYSICAL_RESOURCE_ID, "Data": {"Revision": revision}}


def _login(arn: str) -> Login:
    try:
        secret = json.loads(read_secret(arn))
        return Login(username=secret["username"], password=secret["password"])
    except SecretUnavailableError as error:
        raise MigrationError(str(error)) from None
    except (ValueError, KeyError, TypeError):
        raise MigrationError(f"the secret {arn} is not JSON with username and password") from None
