"""Adds the row that says which of several schedulers leads."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the row that schedulers take over from each other; nobody holds it yet."""
    leader = op.create_table(
        "leader",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    op.bulk_insert(leader, [{"name": "scheduler", "holder": None, "beat": 0, "beat_at": None}])


def downgrade() -> None:
    """Undo."""
    op.drop_table("leader")
