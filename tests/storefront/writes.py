"""Every write of the app that a session is needed for, but ending sessions."""

import hashlib
from collections.abc import Callable

import httpx

from storefront.policies import session_key
from tests.storefront.sql import Connection

CHAIR = {"name": "Chair", "price": 1}
Send = Callable[[httpx.Client, str], httpx.Response]

WRITES: dict[str, Send] = {
    "create a product": lambda client, _: client.post("/products", json=CHAIR),
    "replace a product": lambda client, product: client.put(product, json=CHAIR),
    "delete a product": lambda client, product: client.delete(product),
    "set the stock": lambda client, product: client.put(f"{product}/inventory", json={"available": 1}),
    "buy": lambda client, product: client.post(f"{product}/purchases", json={"quantity": 1}),
    "change a flag": lambda client, _: client.put(
        "/flags/express-checkout", json={"enabled": False, "rollout_percent": 0}
    ),
    "create an operator": lambda client, _: client.post(
        "/users", json={"username": "accomplice", "password": "a password", "role": "operator"}
    ),
    "give a role": lambda client, _: client.put("/users/somebody-else/role", json={"role": "operator"}),
    "change the password": lambda client, _: client.put(
        "/users/me/password", json={"current_password": "a customer's pässword", "new_password": "a new pässword"}
    ),
}
"""By what they do; given a client that is logged in, and a product's path."""


def contents(master: Connection) -> list[object]:
    """Of the tables that those writes change."""
    tables = ("products", "inventory", "purchases", "flags", "users", "cache_invalidations")
    return [sorted(master.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables]  # noqa: S608


def key_of(token: str) -> str:
    """Under which the token's session is cached."""
    return session_key(hashlib.sha256(token.encode()).digest())
