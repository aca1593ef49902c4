"""The code of every function: the folder lambda_src with the packages that the function needs."""

from pathlib import Path

from aws_cdk import aws_lambda as lambda_

from constructs_lib import python_bundle
from stacks.settings import StageConfig

LAMBDA_SRC = Path(__file__).parents[1] / "lambda_src"
MIGRATIONS = LAMBDA_SRC / "functions" / "schema_migration"
ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


def of_app(config: StageConfig) -> lambda_.Code:
    """With the packages of the app."""
    return _code(config, LAMBDA_SRC / "storefront" / "requirements.txt")


def of_migration(config: StageConfig) -> lambda_.Code:
    """With the packages of the schema migration."""
    return _code(config, MIGRATIONS / "requirements.txt")


def _code(config: StageConfig, requirements: Path) -> lambda_.Code:
    return python_bundle(
        LAMBDA_SRC,
        requirements=requirements,
        python=config.app.python,
        architecture=ARCHITECTURES[config.app.architecture],
    )
