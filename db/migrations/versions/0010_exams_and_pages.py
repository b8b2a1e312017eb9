"""What the images of a job said of patient and scan, for comparing exams; pages are outputs too."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KINDS_BEFORE = ("seg", "sr", "picture")
KINDS = (*KINDS_BEFORE, "page")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "exam",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("acquired", sa.String(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("patient_name", sa.String(), nullable=False),
        sa.Column("birth_date", sa.String(), nullable=False),
        sa.Column("kernel", sa.String(), nullable=False),
        sa.Column("thickness_mm", sa.Double(), nullable=False),
        sa.Column("contrast", sa.Boolean(), nullable=False),
        sa.Column("position", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"]),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("ix_exam_patient_id", "exam", ["patient_id"])
    _check_kinds(KINDS)


def downgrade() -> None:
    """Undo. Rows of pages must be gone before: an older version does not know what they are."""
    _check_kinds(KINDS_BEFORE)
    op.drop_table("exam")


def _check_kinds(kinds: tuple[str, ...]) -> None:
    """Replace what migration 0004 allows as the kind of an output."""
    words = ", ".join(f"'{kind}'" for kind in kinds)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("ALTER TABLE output DROP CONSTRAINT output_kind_is_known")
        op.execute(f"ALTER TABLE output ADD CONSTRAINT output_kind_is_known CHECK (kind IN ({words}))")
        return
    for name, happening in (("insert", "INSERT"), ("update", "UPDATE OF kind")):
        # A new database has the triggers of today's words already.
        op.execute(f"DROP TRIGGER output_kind_is_known_at_{name}")
        op.execute(
            f"CREATE TRIGGER output_kind_is_known_at_{name} BEFORE {happening} ON output "
            f"WHEN NEW.kind NOT IN ({words}) BEGIN SELECT RAISE(ABORT, 'kind of output is unknown'); END"
        )
