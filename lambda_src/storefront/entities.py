"""What the storefront is about."""

from datetime import datetime
from decimal import Decimal

import msgspec


class Product(msgspec.Struct, frozen=True):
    """Something for sale. `version` counts its changes from 1."""

    id: int
    name: str
    price: Decimal
    version: int


class Session(msgspec.Struct, frozen=True):
    """A user who is logged in until `expires_at`, in UTC."""

    username: str
    expires_at: datetime
