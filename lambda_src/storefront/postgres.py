"""How this project's code connects to PostgreSQL: always over TLS with the server's certificate verified."""

import os
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from storefront.endpoints import Endpoint

# Where to get a newer one: tools/refresh_rds_ca_bundle.py.
RDS_CA_BUNDLE = Path(__file__).parent / "rds-ca-bundle.pem"


def connect(
    endpoint: Endpoint,
    *,
    database: str,
    user: str,
    password: str,
    connect_timeout_seconds: int = 3,
    statement_timeout_seconds: int = 3,
) -> psycopg.Connection[TupleRow]:
    """A new connection in autocommit mode; psycopg.OperationalError when there is none to be had.

    The roots are RDS's own, which travel with this code, or those in the file that libpq's PGSSLROOTCERT names. A
    server that vanishes without a word (a failover) is noticed after 3 s without acknowledgement.
    """
    return psycopg.connect(
        host=endpoint.host,
        port=endpoint.port,
        dbname=database,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=os.environ.get("PGSSLROOTCERT", str(RDS_CA_BUNDLE)),
        gssencmode="disable",
        connect_timeout=connect_timeout_seconds,
        tcp_user_timeout=3000,
        keepalives_idle=10,
        keepalives_interval=1,
        keepalives_count=3,
        options=f"-c statement_timeout={statement_timeout_seconds}s",
        application_name="storefront",
        autocommit=True,
    )
