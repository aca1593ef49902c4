"""What a deployment gives the functions, and what an engineer does to it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from functions.schema_migration.handler import handler
from local.engines import Engine

AUTH_SECRET, MASTER_SECRET, OPERATOR_SECRET = "arn:auth", "arn:master", "arn:operator"
AUTH_TOKEN = "an-auth-token-of-these-tests"
ROLE_PASSWORD = "a-role-password"
OPERATOR = {"username": "operator", "password": "an operator's pässword"}


def variables(*, cache: str, database: str, ca_file: str, aws_url: str, engine: str = "postgres") -> dict[str, str]:
    """The environment of all functions, given the endpoints."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_REGION": "eu-west-1",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DRAIN_SECONDS": "900",
        "ELASTICACHE_AUTH_SECRET_ARN": AUTH_SECRET,
        "ELASTICACHE_ENDPOINT": cache,
        "OPERATOR_SECRET_ARN": OPERATOR_SECRET,
        "RDS_CA_FILE": ca_file,
        "RDS_DB_NAME": "storefront",
        "RDS_ENDPOINT": database,
        "RDS_ENGINE": engine,
        "RDS_MASTER_SECRET_ARN": MASTER_SECRET,
        "RDS_PASSWORD": ROLE_PASSWORD,
        "RDS_USER": "storefront_app",
        "SSL_CERT_FILE": ca_file,
    }


def migrate(request_type: str = "Create", *, sample_data: str = "true") -> dict[str, Any]:
    """Calls the migration function as the Provider framework does."""
    return handler({"RequestType": request_type, "ResourceProperties": {"SampleData": sample_data}}, None)


@contextmanager
def frozen(engine: Engine) -> Iterator[None]:
    """The engine does nothing any more, but its kernel still accepts and acknowledges everything."""
    process = psutil.Process(engine.pid)
    family = [process, *process.children(recursive=True)]
    for member in family:
        member.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for member in family:
            member.send_signal(signal.SIGCONT)
