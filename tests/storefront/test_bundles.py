"""Each Lambda bundle holds what its handler imports."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.storefront.deployment import variables

LAMBDA_SRC = Path(__file__).parents[2] / "lambda_src"
IN_THE_RUNTIME = {"boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}
# What handlers import when they first need it.
ENGINES = "storefront.postgres, storefront.mysql"
MIGRATION_ENGINES = "functions.schema_migration.postgres, functions.schema_migration.mysql"

# An interpreter that cannot import the packages named on its command line.
CONFINED = """
import sys
refused = set(sys.argv[2:])
class Confinement:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not in the bundle", name=name)
sys.meta_path.insert(0, Confinement())
exec(sys.argv[1])
"""


def run_without(refused: set[str], statement: str) -> None:
    """Fails when the statement does in an interpreter without these packages."""
    command = [sys.executable, "-c", CONFINED, statement, *refused]
    environment = os.environ | variables(cache="cache", database="db", ca_file="ca.pem", aws_url="http://127.0.0.1:1")
    done = subprocess.run(command, cwd=LAMBDA_SRC, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def installed_beside(packages: set[str]) -> set[str]:
    """What is installed here and is none of these."""
    return set(packages_distributions()) - packages


def bundled(requirements: str) -> set[str]:
    """The packages that a locked requirements file installs."""
    locked = (LAMBDA_SRC / requirements).read_text()
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", locked, re.MULTILINE)
    return {name.replace("-", "_") for name in names}


@pytest.mark.parametrize(
    ("handler", "engines", "requirements"),
    [
        ("functions.schema_migration.handler", MIGRATION_ENGINES, "functions/schema_migration/requirements.txt"),
        ("functions.invalidation_relay.handler", ENGINES, "storefront/requirements.txt"),
        ("functions.auth_token_rotation.handler", "boto3", "storefront/requirements.txt"),
        ("storefront.lambda_handler", ENGINES, "storefront/requirements.txt"),
    ],
)
def test_handler_runs_on_what_its_bundle_and_the_runtime_hold(handler: str, engines: str, requirements: str) -> None:
    refused = installed_beside(bundled(requirements) | IN_THE_RUNTIME)
    assert {"aws_cdk", "httpx", "pytest"} <= refused
    # The rotation alone gets both the token and the group: a login is one of the two.
    rotates = handler.startswith("functions.auth_token_rotation")
    group = "import os; os.environ['ELASTICACHE_REPLICATION_GROUP_ID'] = 'cache'; " if rotates else ""
    clients = "boto3.client('secretsmanager'), boto3.client('elasticache')"
    run_without(refused, f"{group}import {handler}, {engines}, boto3; {clients}")


def test_migration_starts_without_the_packages_of_the_app_and_the_sdk() -> None:
    refused = installed_beside(bundled("functions/schema_migration/requirements.txt"))
    assert {"apig_wsgi", "boto3", "falcon"} <= refused
    run_without(refused, f"import functions.schema_migration.handler, {MIGRATION_ENGINES}")
