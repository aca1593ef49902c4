"""How often the cache has refused to delete a key, and when it is asked again."""

import sqlalchemy as sa
from alembic import op

from functions.schema_migration.columns import TIME

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("cache_invalidations", sa.Column("attempts", sa.Integer, server_default="0", nullable=False))
    op.add_column("cache_invalidations", sa.Column("retry_at", TIME))
