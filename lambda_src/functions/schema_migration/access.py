"""Who may do what: the app's role in the database, the first operator, and the secret that seals cached sessions."""

import secrets

import sqlalchemy as sa

from functions.schema_migration.settings import Login
from storefront.entities import canonical
from storefront.passwords import hash_password

# The app's rights, table by table: what its repositories do and no more. Every engine grants them in these words.
RIGHTS = {
    "products": "SELECT, INSERT, UPDATE, DELETE",
    "users": "SELECT, INSERT (username, password_hash, role), UPDATE (password_hash, role)",
    "sessions": "SELECT, INSERT, DELETE",
    "seal_secrets": "SELECT",
    "inventory": "SELECT, INSERT, UPDATE (available)",
    "purchases": "SELECT, INSERT (product_id, user_id, quantity, unit_price)",
    "flags": "SELECT, UPDATE (enabled, rollout_percent)",
    "cache_invalidations": 'SELECT, INSERT ("key"), UPDATE (delivered_at, attempts, retry_at), DELETE',
    "replayed_servers": "SELECT, INSERT (replication_id)",
}

_NEWEST = sa.text("SELECT max(id) FROM seal_secrets")
_INSERT = sa.text("INSERT INTO seal_secrets (id, secret) VALUES (:id, :secret)")


def ensure_operator(connection: sa.Connection, operator: Login) -> None:
    """Creates the first operator's user if it does not exist; an existing one keeps the password and role it has."""
    username = canonical(operator.username)
    if not connection.scalar(sa.text("SELECT 1 FROM users WHERE username = :username"), {"username": username}):
        connection.execute(
            sa.text("INSERT INTO users (username, password_hash, role) VALUES (:username, :hash, 'operator')"),
            {"username": username, "hash": hash_password(operator.password)},
        )


def ensure_seal_secret(connection: sa.Connection) -> None:
    """Makes the secret of `storefront.seals` if there is none."""
    if connection.scalar(_NEWEST) is None:
        connection.execute(_INSERT, {"id": 1, "secret": secrets.token_bytes(32)})


def rotate_seal_secret(connection: sa.Connection) -> None:
    """Makes another secret and drops all but the one before it, so that no cached session loses its seal."""
    newest = connection.scalar(_NEWEST) or 0
    connection.execute(_INSERT, {"id": newest + 1, "secret": secrets.token_bytes(32)})
    connection.execute(sa.text("DELETE FROM seal_secrets WHERE id < :newest"), {"newest": newest})
