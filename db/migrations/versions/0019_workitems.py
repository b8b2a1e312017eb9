"""Adds the items of a worklist that the site performs, and the view by which auditors see who asked for a result."""

import sqlalchemy as sa
from alembic import op

from db import audit_columns

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ROLE, QUEUE = "scleroscan_auditor", "perform"
STATES = ("claiming", "working", "completing", "canceling", "completed", "canceled", "lost")
TIMES = ("claimed_at", "cancel_asked_at", "ended_at")
VIEW = """
SELECT workitem.uid AS workitem_uid, workitem.worklist, workitem.label, workitem.requester, workitem.order_number,
    workitem.series_uid, series.study_uid, workitem.state, workitem.code, workitem.reason, {times}
FROM workitem LEFT JOIN series ON series.uid = workitem.series_uid
"""
GRANT = f"""
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN GRANT SELECT ON audit_workitem TO {ROLE}; END IF;
END $$;
"""


def upgrade() -> None:
    """Apply: with the row by which the performer shows that it lives."""
    words = ", ".join(f"'{state}'" for state in STATES)
    time = sa.DateTime(timezone=True)
    op.create_table(
        "workitem",
        sa.Column("uid", sa.String(64), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("worklist", "label", "requester", "order_number")),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=True) for name in ("code", "reason", "trouble")),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("jobs", sa.JSON(), nullable=True),
        sa.Column("claimed_at", time, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", time, nullable=False),
        *(
            sa.Column(name, time, nullable=True)
            for name in ("cancel_asked_at", "ended_at", "troubled_since", "fetched_at")
        ),
        sa.Column("subscribed", sa.Boolean(), nullable=True),
        sa.CheckConstraint(f"state IN ({words})", name="workitem_state_is_known"),
        sa.ForeignKeyConstraint(["series_uid"], ["series.uid"]),
        sa.PrimaryKeyConstraint("uid"),
    )
    for column in ("series_uid", "state"):
        op.create_index(f"ix_workitem_{column}", "workitem", [column])
    heartbeat = sa.table("heartbeat", sa.column("queue"), sa.column("who"), sa.column("beat"), sa.column("beat_at"))
    op.bulk_insert(heartbeat, [{"queue": QUEUE, "who": None, "beat": 0, "beat_at": None}])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    shown = ", ".join(
        f"(replace(workitem.{name}, ' ', 'T') || '+00:00') AS {name}" if is_sqlite else f"workitem.{name}"
        for name in TIMES
    )
    op.execute(f"CREATE VIEW audit_workitem AS {VIEW.format(times=shown)}")
    if not is_sqlite:
        op.execute(GRANT)
        audit_columns.write_comments(op.get_bind())


def downgrade() -> None:
    """Undo. Events of items stay: what happened is not rewritten."""
    op.execute("DROP VIEW audit_workitem")
    op.execute(f"DELETE FROM heartbeat WHERE queue = '{QUEUE}'")  # noqa: S608  a word of our own
    op.drop_table("workitem")
