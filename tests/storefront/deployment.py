"""What a deployment gives the functions, and what an engineer does to it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg

from functions.schema_migration.handler import handler
from local.engines import Postgres, Valkey

Connection = psycopg.Connection[tuple[Any, ...]]

AUTH_SECRET, MASTER_SECRET, OPERATOR_SECRET = "arn:auth", "arn:master", "arn:operator"
AUTH_TOKEN, MASTER_PASSWORD = "an-auth-token-of-these-tests", "a-master-password-of-these-tests"
ROLE_PASSWORD = "a-role-password"
OPERATOR = {"username": "operator", "password": "an operator's pässword"}


def variables(*, cache: str, database: str, ca_file: str, aws_url: str) -> dict[str, str]:
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
        "PGSSLROOTCERT": ca_file,
        "RDS_DB_NAME": "storefront",
        "RDS_ENDPOINT": database,
        "RDS_MASTER_SECRET_ARN": MASTER_SECRET,
        "RDS_PASSWORD": ROLE_PASSWORD,
        "RDS_USER": "storefront_app",
        "REPLICATION_GROUP_ID": "cache",
        "SSL_CERT_FILE": ca_file,
    }


def migrate(request_type: str = "Create", *, sample_data: str = "true") -> dict[str, Any]:
    """Calls the migration function as the Provider framework does."""
    return handler({"RequestType": request_type, "ResourceProperties": {"SampleData": sample_data}}, None)


def connect(postgres: Postgres, database: str, user: str = "postgres", password: str = MASTER_PASSWORD) -> Connection:
    """A connection in autocommit mode; the master's when no user is named."""
    return psycopg.connect(
        host="localhost",
        port=postgres.port,
        dbname=database,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=str(postgres.certificates.ca_file),
        autocommit=True,
    )


@contextmanager
def frozen(engine: Postgres | Valkey) -> Iterator[None]:
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
