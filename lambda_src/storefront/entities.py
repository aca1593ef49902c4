"""What the storefront is about."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec


class Role(StrEnum):
    """What a user is: who may do what stands in the table of operations."""

    OPERATOR = "operator"
    CUSTOMER = "customer"


def canonical(username: str) -> str:
    """The one spelling of a user's name, in whatever case somebody types it."""
    return username.casefold()


class Product(msgspec.Struct, frozen=True):
    """Something for sale. `version` counts its changes from 1."""

    id: int
    name: str
    price: Decimal
    version: int


class Purchase(msgspec.Struct, frozen=True):
    """So many of a product, sold at the price that it had."""

    id: int
    product_id: int
    quantity: int
    unit_price: Decimal


class Bestseller(msgspec.Struct, frozen=True):
    """How often a product was sold."""

    product_id: int
    name: str
    units_sold: int


class Session(msgspec.Struct, frozen=True):
    """A user who is logged in until `expires_at`, in UTC, with the token of this hash."""

    user_id: int
    username: str
    role: Role
    expires_at: datetime
    token_hash: bytes


class SealedSession(msgspec.Struct, frozen=True):
    """A session as it is cached: bytes, and what shows that the app has made them. See seals.py."""

    body: bytes
    seal: bytes


class Flag(msgspec.Struct, frozen=True):
    """Whether a feature is on, and for how many of its users: 0 to 100 percent."""

    name: str
    enabled: bool
    rollout_percent: int
