"""How each kind of data is cached: for how long, who deletes it, what is served when something is broken, and how old
that may be. What an acknowledged write promises its readers, fault by fault: docs/consistency.md.

While the cache is out of reach every read goes to the database, 32 at once in a process (BYPASS), whatever the policy.
"""

from cache_aside import LoadUnavailableError, Policy
from storefront.database import DatabaseUnavailableError
from storefront.entities import Bestseller, Flag, Product, SealedSession

PRODUCT_PREFIX = "product:"
SESSION_PREFIX = "session:"
LEADERBOARD_PREFIX = "leaderboard:"
FLAG_PREFIX = "flag:"
KEY_PREFIXES = (PRODUCT_PREFIX, SESSION_PREFIX, LEADERBOARD_PREFIX, FLAG_PREFIX)
"""Of every key that the app uses. Under role-based access its user may touch no other (stacks/cache_rights.py)."""

LEADERBOARD_SIZE = 100
LEADERBOARD_KEY = f"{LEADERBOARD_PREFIX}{LEADERBOARD_SIZE}"


def product_key(product_id: int) -> str:
    """`product:42`."""
    return f"{PRODUCT_PREFIX}{product_id}"


def session_key(token_hash: bytes) -> str:
    """`session:` and the hash in hexadecimal: whoever reads the cache, its logs or the outbox cannot log in with it."""
    return f"{SESSION_PREFIX}{token_hash.hex()}"


def flag_key(name: str) -> str:
    """`flag:new-checkout`."""
    return f"{FLAG_PREFIX}{name}"


PRODUCT = Policy(
    name="product",
    value_type=Product,
    ttl_seconds=600,
    negative_ttl_seconds=30,
    soft_timeout_seconds=1,
    stale_if_error_seconds=3600,
    stale_errors=(DatabaseUnavailableError, LoadUnavailableError),
    background=True,
)
"""Deleted by: every creation, update and deletion of that product.
Database down: what nobody has changed since is served for an hour longer, marked STALE; else 503.
Promise: no read that begins after a write was acknowledged shows what was before it.
"""

SEAL_SECONDS = 600
"""How long a seal holds (seals.py). A minute more than entries live, for clocks that differ."""

SESSION = Policy(name="session", value_type=SealedSession, ttl_seconds=SEAL_SECONDS - 60, fail_closed=True)
"""Deleted by: logging out, a new password, and a change of the user's role. TTL: nine minutes, which is how long reads
still know a user whom somebody deletes in SQL. Writes ask the database for session and role.
Database down: who is cached is let in, nobody else: 503. Cache down, or after a failover: asks the database.
Promise: refused everywhere once logging out was confirmed. Tokens that are none are not remembered: guesses would
drive everything else out of the cache. An entry without the app's seal, under another key than its own or older than
SEAL_SECONDS is deleted, recorded (security_log.py) and the database asked: whoever can write to the cache cannot
become an operator. Whoever puts back an entry that was read before its session ended can read with it until its seal
is too old, and write nothing.
"""

FLAG = Policy(
    name="flag",
    value_type=Flag,
    ttl_seconds=120,
    negative_ttl_seconds=30,
    soft_timeout_seconds=1,
    stale_if_error_seconds=3600,
    stale_errors=(DatabaseUnavailableError, LoadUnavailableError),
    background=True,
)
"""Deleted by: every change of that flag, by an operator or by the deployment of another flags.json.
Database down: nobody can change a flag, and the last value known is served for an hour longer, marked STALE: features
that switch themselves off would be a second outage.
Promise: as for products, with a TTL of two minutes.
"""

LEADERBOARD = Policy(
    name="leaderboard", value_type=list[Bestseller], ttl_seconds=45, max_bytes=256 * 1024, background=True
)
"""Deleted by: nobody, the TTL alone; a purchase that deleted it would make every reader add up all purchases.
Before it expires one reader loads it anew (XFetch), so that nobody else waits for the aggregation.
Database down: the rest of its 45 seconds, then 503. Cache down: a process adds up for all that wait, once at a time.
Promise: at most 60 s old: the TTL, and the 5 s that a load may take, twice if it was joined half-way.
One value of 100 products is cut to every length.
"""

# Inventory has no policy, so nothing can cache it: whoever buys must see the committed stock. It is read past the cache
# (BYPASS, no-store), costs one row by its key, and is answered 503 while the database is down. Purchases invalidate
# nothing: neither they nor the stock are cached.
