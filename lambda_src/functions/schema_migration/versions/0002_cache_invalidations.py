"""What the cache must forget, and on which servers that was repeated after a failover."""

import sqlalchemy as sa
from alembic import op

from functions.schema_migration.columns import TIME, Now, key

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "cache_invalidations",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("key", key(255), nullable=False),
        sa.Column("created_at", TIME, server_default=Now(), nullable=False),
        sa.Column("delivered_at", TIME),
    )
    # For both questions of the relay: what is not delivered yet (NULL), oldest first; and what has been so for long.
    op.create_index("cache_invalidations_delivery", "cache_invalidations", ["delivered_at", "id"])
    op.create_table(
        "replayed_servers",
        sa.Column("replication_id", key(64), primary_key=True),
        sa.Column("replayed_at", TIME, server_default=Now(), nullable=False),
    )
