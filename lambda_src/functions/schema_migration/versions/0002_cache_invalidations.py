"""What the cache must forget, and on which servers that was repeated after a failover."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "cache_invalidations",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
    )
    # For both questions of the relay: what is not delivered yet (NULL), oldest first; and what has been so for long.
    op.create_index("cache_invalidations_delivery", "cache_invalidations", ["delivered_at", "id"])
    op.create_table(
        "replayed_servers",
        sa.Column("replication_id", sa.Text, primary_key=True),
        sa.Column("replayed_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
    )
