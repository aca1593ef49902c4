"""How each kind of data is cached: for how long, and what deletes it."""

from cache_aside import Policy
from storefront.entities import Product

PRODUCT = Policy(value_type=Product, schema_version=1, ttl_seconds=600, negative_ttl_seconds=30)
"""Deleted by every creation, update and deletion of that product. That a product does not exist is kept for 30 s."""


def product_key(product_id: int) -> str:
    """`product:42`."""
    return f"product:{product_id}"
