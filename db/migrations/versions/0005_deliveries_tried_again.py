"""Adds the time at which an operator last retried a delivery, from which its attempts and its waiting count."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of deliveries that were tried again before, nobody wrote down when."""
    op.add_column("delivery", sa.Column("retried_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("delivery", "retried_at")
