"""Flask and psycopg.

flask --app examples.flask_app run      the service, with DATABASE_URL, CACHE_HOST, CACHE_PORT and CACHE_TOKEN
flask --app examples.flask_app relay    the relay beside it, once for all processes
"""

import os
import threading
from dataclasses import dataclass

import psycopg
from flask import Flask, abort, request
from flask.typing import ResponseReturnValue

from cache_aside import CacheAside, Policy, Relay, SqlOutbox, transactions


@dataclass
class Product:
    id: int
    name: str


def connect() -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_URL"])


outbox = SqlOutbox(transactions(connect), dialect="postgresql")
cache = CacheAside.connect(
    os.environ["CACHE_HOST"], int(os.environ["CACHE_PORT"]), auth_token=os.environ["CACHE_TOKEN"]
)
PRODUCT = Policy(name="product", value_type=Product, ttl_seconds=300)
relay = Relay(cache, outbox)
app = Flask(__name__)


@app.get("/products/<int:product_id>")
def read(product_id: int) -> ResponseReturnValue:
    result = cache.get_or_load(f"product:{product_id}", select_product, product_id, policy=PRODUCT)
    return ({"name": result.value.name}, {"X-Cache": result.served}) if result.value else abort(404)


@app.put("/products/<int:product_id>")
def write(product_id: int) -> ResponseReturnValue:
    with connect() as connection, outbox.transaction(connection, cache) as change:
        connection.execute("UPDATE product SET name = %s WHERE id = %s", (request.json["name"], product_id))
        change.invalidates(f"product:{product_id}")
    return "", 204


@app.cli.command("relay")
def run_relay() -> None:
    relay.run_until(threading.Event())


def select_product(product_id: int) -> Product | None:
    with connect() as connection:
        row = connection.execute("SELECT id, name FROM product WHERE id = %s", (product_id,)).fetchone()
    return Product(*row) if row else None
