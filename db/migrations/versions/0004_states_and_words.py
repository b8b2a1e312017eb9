"""States are checked by the database; incomplete series, quality flags and image planes get the names of the field.

Events keep the words that they were written with: what happened is not rewritten.
"""

from enum import StrEnum

from alembic import op

from db.states import CommitmentState, DeliveryState, JobState, OutputKind, SeriesState

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHECKED: tuple[tuple[str, str, type[StrEnum]], ...] = (
    ("series", "state", SeriesState),
    ("job", "state", JobState),
    ("delivery", "state", DeliveryState),
    ("commitment", "state", CommitmentState),
    ("output", "kind", OutputKind),
)


def upgrade() -> None:
    """Rename, then check."""
    op.execute("UPDATE series SET state = 'incomplete' WHERE state = 'broken'")
    op.rename_table("flag", "quality_flag")
    op.execute("ALTER TABLE instance RENAME COLUMN place TO plane")
    check = _check_by_trigger if op.get_bind().dialect.name == "sqlite" else _check_by_constraint
    for table, column, words in CHECKED:
        check(table, column, ", ".join(f"'{word}'" for word in words))


def _check_by_constraint(table: str, column: str, words: str) -> None:
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_is_known CHECK ({column} IN ({words}))")


def _check_by_trigger(table: str, column: str, words: str) -> None:
    # SQLite adds no constraint to a table that is there, and one made anew would take the rows that refer to it along.
    for happening in ("INSERT", f"UPDATE OF {column}"):
        op.execute(
            f"CREATE TRIGGER {table}_{column}_is_known_at_{happening.split()[0].lower()} BEFORE {happening} ON {table} "
            f"WHEN NEW.{column} NOT IN ({words}) BEGIN SELECT RAISE(ABORT, '{column} of {table} is unknown'); END"
        )


def downgrade() -> None:
    """Undo."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table, column, _ in CHECKED:
        name = f"{table}_{column}_is_known"
        if sqlite:
            op.execute(f"DROP TRIGGER {name}_at_insert")
            op.execute(f"DROP TRIGGER {name}_at_update")
        else:
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    op.execute("ALTER TABLE instance RENAME COLUMN plane TO place")
    op.rename_table("quality_flag", "flag")
    op.execute("UPDATE series SET state = 'broken' WHERE state = 'incomplete'")
