"""Adds the rows by which a worker of each queue says that it still takes messages."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
QUEUES = ("analyse", "deliver")


def upgrade() -> None:
    """Make a row for each queue; nobody has beaten yet."""
    heartbeat = op.create_table(
        "heartbeat",
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=True),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("queue"),
    )
    op.bulk_insert(heartbeat, [{"queue": queue, "who": None, "beat": 0, "beat_at": None} for queue in QUEUES])


def downgrade() -> None:
    """Undo."""
    op.drop_table("heartbeat")
