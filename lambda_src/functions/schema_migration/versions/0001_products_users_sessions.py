"""Products, users and sessions."""

import sqlalchemy as sa
from alembic import op

from functions.schema_migration.columns import TIME, TOKEN_HASH

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("price", sa.Numeric(10, 2), sa.CheckConstraint("price >= 0"), nullable=False),
        sa.Column("version", sa.BigInteger, server_default="1", nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "username", sa.String(100), sa.CheckConstraint("username = lower(username)"), unique=True, nullable=False
        ),
        sa.Column("password_hash", sa.Text, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", TOKEN_HASH, primary_key=True),
        sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id", ondelete="CASCADE"), index=True, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
