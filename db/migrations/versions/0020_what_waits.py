"""What scheduler and delivery look for again and again has indices of its own, as long as what waits."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

NEW = "(notified_at IS NULL OR notified_at < {due})"
INDICES = {
    "ix_job_new": ("job (state, due_at)", f"state = 'queued' AND {NEW.format(due='due_at')}"),
    "ix_job_rejected": ("job (state, updated_at)", "state = 'rejected'"),
    "ix_delivery_new": ("delivery (state, due_at)", f"state = 'pending' AND {NEW.format(due='due_at')}"),
    "ix_delivery_unproven": ("delivery (state, proof_due_at)", f"state = 'sent' AND {NEW.format(due='proof_due_at')}"),
    "ix_delivery_unreached": (
        "delivery (destination, due_at)",
        "state = 'pending' AND code IS NOT NULL AND status IS NULL",
    ),
    "ix_instance_present": ("instance (series_uid)", "removed_at IS NULL"),
}


def upgrade() -> None:
    """Apply."""
    for name, (columns, where) in INDICES.items():
        op.execute(f"CREATE INDEX {name} ON {columns} WHERE {where}")


def downgrade() -> None:
    """Undo."""
    for name in INDICES:
        op.execute(f"DROP INDEX {name}")
