"""How this project's code connects to PostgreSQL: always over TLS with the server's certificate verified."""

import os
from pathlib import Path

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.rows import TupleRow

from storefront.endpoints import Endpoint

# Where to get a newer one: tools/refresh_rds_ca_bundle.py.
RDS_CA_BUNDLE = Path(__file__).parent / "rds-ca-bundle.pem"


# More than the server's own timeout, which comes first as long as the server lives.
_GRACE_SECONDS = 0.5


class _Connection(psycopg.Connection[TupleRow]):
    """Waits for no answer longer than `answer_seconds`; then psycopg.OperationalError, and the connection is of no use.

    A frozen server neither ends statements itself nor lets TCP notice: its kernel acknowledges everything.
    """

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """What every statement waits in."""
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)


def connect(
    endpoint: Endpoint,
    *,
    database: str,
    user: str,
    password: str,
    connect_timeout_seconds: int = 2,
    statement_timeout_seconds: int = 2,
) -> psycopg.Connection[TupleRow]:
    """A new connection in autocommit mode; psycopg.OperationalError when there is none to be had.

    By default connecting and a statement together stay below the 5 s that a lease of the cache lasts.

    The roots are RDS's own, which travel with this code, or those in the file that libpq's PGSSLROOTCERT names. A
    server that vanishes without a word (a failover) is noticed after 3 s without acknowledgement.
    """
    connection = _Connection.connect(
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
    connection.answer_seconds = statement_timeout_seconds + _GRACE_SECONDS
    return connection
