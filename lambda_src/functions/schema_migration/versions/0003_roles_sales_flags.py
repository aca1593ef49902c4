"""Roles of users, what is in stock, what was sold, and feature flags."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # None: a user who may not even log in.
    op.add_column("users", sa.Column("role", sa.String(20), server_default="customer"))
    op.create_table(
        "inventory",
        sa.Column(
            "product_id",
            sa.BigInteger,
            sa.ForeignKey("products.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("available", sa.BigInteger, sa.CheckConstraint("available >= 0"), nullable=False),
    )
    op.create_table(
        "purchases",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        # What was sold stays sold when the product is deleted, so this refers to nothing.
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("quantity", sa.Integer, sa.CheckConstraint("quantity > 0"), nullable=False),
        sa.Column("unit_price", sa.Numeric(10, 2), nullable=False),
    )
    # All that adding up the units of each product reads.
    op.create_index("purchases_units", "purchases", ["product_id", "quantity"])
    op.create_table(
        "flags",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("rollout_percent", sa.Integer, nullable=False),
        # What the last deployment set, so that the next one leaves alone what an operator has changed since.
        sa.Column("deployed", sa.String(200)),
        sa.CheckConstraint("rollout_percent BETWEEN 0 AND 100"),
    )
