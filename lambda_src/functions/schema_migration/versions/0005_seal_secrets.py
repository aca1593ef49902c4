"""What seals the sessions that are cached: one row. And users without a role, who may not even log in."""

import sqlalchemy as sa
from alembic import op

from functions.schema_migration.columns import TOKEN_HASH

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "seal_secrets",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("secret", TOKEN_HASH, nullable=False),
    )
    # 0003 once said that every user has a role, and databases that it made then still do.
    op.alter_column(
        "users", "role", existing_type=sa.String(20), existing_server_default=sa.text("'customer'"), nullable=True
    )
