"""Deliveries keep the code of their last failure."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("delivery", sa.Column("code", sa.String(), nullable=True))


def downgrade() -> None:
    """Undo."""
    op.drop_column("delivery", "code")
