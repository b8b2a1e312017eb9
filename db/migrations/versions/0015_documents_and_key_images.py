"""PDF documents and key object selections are outputs too."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KINDS_BEFORE = ("seg", "sr", "picture", "page", "lungs")
KINDS = (*KINDS_BEFORE, "pdf", "key_images")


def upgrade() -> None:
    """Apply."""
    _check_kinds(KINDS)


def downgrade() -> None:
    """Undo. Rows of the new kinds must be gone before: an older version does not know what they are."""
    _check_kinds(KINDS_BEFORE)


def _check_kinds(kinds: tuple[str, ...]) -> None:
    """Replace what is allowed as the kind of an output."""
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
