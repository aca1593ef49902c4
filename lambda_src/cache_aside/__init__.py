"""Cache-aside in front of a database that cannot keep a stale value.

cache = CacheAside.connect("primary.example.cache.amazonaws.com", auth_token=read_secret)
PRODUCT = Policy(name="product", value_type=Product, ttl_seconds=300)

product = cache.get_or_load("product:42", select_product, 42, policy=PRODUCT).value
...commit the change, then:
if cache.invalidate("product:42").pending:
    ...a Relay deletes it later

The modules, in the order in which to read them. The idea:

protocol      why nothing stale is kept, and every step of a read
envelope      the bytes under a key: lease, mark, value
leases        the commands that take a lease, fill it, give it back
flights       sharing loads inside a process, and queueing past a cache that is down
steps         what the protocol asks its driver to do

What you configure and get:

policy        what is cached and for how long; what a client may cost
keys          what a key may be; namespaces; functions whose arguments are the key
results       how a read was served, what became of an invalidation
errors        what is raised

Two drivers of the one protocol:

client        the synchronous client
aio           the asynchronous client
connection    what is known about a server and each connection to it; no I/O
link          the connections of threads
aio_link      the connections of tasks
credentials   the token that connections authenticate with
breaker       the circuit that sends readers past a cache that is down
dns           name resolution with a timeout

Deletions that survive:

invalidation  deleting keys, with an honest outcome
outbox        the table of deletions that are due, over any SQL driver
dialects      what SQL engines spell differently
relay         repeating deletions that did not get through, or that a failover lost

Who watches:

observe       the hook for counters and timings
cloudwatch    an observer that writes CloudWatch metrics
otel          an observer that writes OpenTelemetry metrics and spans
"""

from cache_aside.aio import AsyncCacheAside
from cache_aside.client import CacheAside
from cache_aside.cloudwatch import EmbeddedMetrics
from cache_aside.credentials import Credentials
from cache_aside.dialects import Dialect
from cache_aside.errors import (
    CacheUnavailableError,
    LoadTimeoutError,
    LoadUnavailableError,
    PolicyError,
    TooManyLoadsError,
)
from cache_aside.observe import Event, Observer
from cache_aside.outbox import SqlOutbox, Write, transactions
from cache_aside.policy import Options, Policy
from cache_aside.relay import Outbox, OutboxRow, Relay, RelayReport
from cache_aside.results import Invalidation, Replicas, Result, Served

__all__ = [
    "AsyncCacheAside",
    "CacheAside",
    "CacheUnavailableError",
    "Credentials",
    "Dialect",
    "EmbeddedMetrics",
    "Event",
    "Invalidation",
    "LoadTimeoutError",
    "LoadUnavailableError",
    "Observer",
    "Options",
    "Outbox",
    "OutboxRow",
    "Policy",
    "PolicyError",
    "Relay",
    "RelayReport",
    "Replicas",
    "Result",
    "Served",
    "SqlOutbox",
    "TooManyLoadsError",
    "Write",
    "transactions",
]
