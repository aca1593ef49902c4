"""Two AWS Lambda functions: the service, and the relay that EventBridge starts every minute.

With DATABASE_URL, CACHE_HOST, CACHE_PORT and CACHE_TOKEN.
"""

import os
from typing import Any

import msgspec
import psycopg

from cache_aside import CacheAside, EmbeddedMetrics, Policy, Relay, SqlOutbox, transactions


class Product(msgspec.Struct):
    id: int
    name: str


def connect() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_URL"])


begin = transactions(connect)  # one connection an execution environment; a new one after any exception
outbox = SqlOutbox(begin, dialect="postgresql")
metrics = EmbeddedMetrics()
cache = CacheAside.connect(
    os.environ["CACHE_HOST"], int(os.environ["CACHE_PORT"]), auth_token=os.environ["CACHE_TOKEN"], observer=metrics
)
PRODUCT = Policy(name="product", value_type=Product, ttl_seconds=300)
relay = Relay(cache, outbox, observer=metrics)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    product_id = int(event["path"].removeprefix("/products/"))
    if event["httpMethod"] == "PUT":
        rename(product_id, msgspec.json.decode(event["body"])["name"])
        return {"statusCode": 204}
    result = cache.get_or_load(f"product:{product_id}", select_product, product_id, policy=PRODUCT)
    body = msgspec.json.encode(result.value).decode()
    return {"statusCode": 200 if result.value else 404, "headers": {"X-Cache": result.served}, "body": body}


def relay_handler(_event: object, _context: object) -> dict[str, Any]:
    report = relay.run_once()
    metrics.flush()
    return msgspec.structs.asdict(report)


def rename(product_id: int, name: str) -> None:
    with connect() as connection, outbox.transaction(connection, cache) as write:
        connection.execute("UPDATE product SET name = %s WHERE id = %s", (name, product_id))
        write.invalidates(f"product:{product_id}")


def select_product(product_id: int) -> Product | None:
    with begin() as cursor:
        row = cursor.execute("SELECT id, name FROM product WHERE id = %s", (product_id,)).fetchone()
    return Product(*row) if row else None
