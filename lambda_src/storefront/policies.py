"""How each kind of data is cached: under which key, for how long, and what may be served when something is broken."""

from datetime import UTC, datetime

from cache_aside import LoadUnavailableError, Policy
from storefront.database import DatabaseUnavailableError
from storefront.entities import Flag, Product, Session

PRODUCT_PREFIX = "product:"


def product_key(product_id: int) -> str:
    """`product:42`."""
    return f"{PRODUCT_PREFIX}{product_id}"


def session_key(token_hash: bytes) -> str:
    """`session:` and the hash in hexadecimal: whoever reads the cache, its logs or the outbox cannot log in with it."""
    return f"session:{token_hash.hex()}"


def flag_key(name: str) -> str:
    """`flag:new-checkout`."""
    return f"flag:{name}"


PRODUCT = Policy(
    name="product",
    value_type=Product,
    ttl_seconds=600,
    negative_ttl_seconds=30,
    soft_timeout_seconds=1,
    stale_if_error_seconds=3600,
    stale_errors=(DatabaseUnavailableError, LoadUnavailableError),
)
"""Deleted by every creation, update and deletion of that product. While the database is out of reach, a product that
nobody has changed since is served for an hour longer."""

_MOST_SESSION_SECONDS = 600


def _session_ttl_seconds(session: Session) -> float:
    return min((session.expires_at - datetime.now(UTC)).total_seconds(), _MOST_SESSION_SECONDS)


SESSION = Policy(name="session", value_type=Session, ttl_seconds=_session_ttl_seconds, fail_closed=True)
"""Deleted by logging out and by a new password. Never stale, and never from a server that may have lost a deletion.

At most ten minutes, which is how long a session outlives a user whom somebody deletes in SQL, past this app. Tokens
that are none are not remembered: guesses would drive everything else out of the cache.
"""

FLAG = Policy(
    name="flag",
    value_type=Flag,
    ttl_seconds=120,
    negative_ttl_seconds=30,
    soft_timeout_seconds=1,
    stale_if_error_seconds=3600,
    stale_errors=(DatabaseUnavailableError, LoadUnavailableError),
)
"""Deleted by a change of that flag, by an operator or by a deployment, so that the next read sees it; after a fault as
docs/consistency.md says, and two minutes later at most. Without the cache the database is asked. While the database is
out of reach nobody can change a flag, and the last value known is served for an hour longer: features that switch
themselves off would be a second outage."""
