"""Storage commitment requests of modalities, and what the routing rules see of a series."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.String(length=64)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.add_column("series", sa.Column("facts", sa.JSON(), nullable=True))
    op.create_table(
        "commitment",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("transaction_uid", KEY, nullable=False),
        sa.Column("calling_ae", sa.String(), nullable=False),
        sa.Column("receiving_ae", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("answered_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("calling_ae", "transaction_uid"),
    )
    op.create_index("ix_commitment_state", "commitment", ["state"])
    op.create_table(
        "commitment_reference",
        sa.Column("commitment_id", ROW_ID, nullable=False),
        sa.Column("sop_uid", KEY, nullable=False),
        sa.Column("sop_class", KEY, nullable=False),
        sa.Column("failure", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["commitment_id"], ["commitment.id"]),
        sa.PrimaryKeyConstraint("commitment_id", "sop_uid"),
    )
    op.create_index("ix_commitment_reference_sop_uid", "commitment_reference", ["sop_uid"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("commitment_reference")
    op.drop_table("commitment")
    op.drop_column("series", "facts")
