"""Rows say where copies of their files lie in the object store, and when files of a series came home from there."""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

from db import audit_columns

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

COLUMNS = (("instance", "stored_as", sa.String()), ("job", "stored_as", sa.String()))
FIRST = import_module("db.migrations.versions.0011_an_audit_in_one_query")
ASKED_BY = import_module("db.migrations.versions.0016_what_auditors_ask_by")
BEFORE = {"audit_image": FIRST.VIEWS["audit_image"], "audit_job": ASKED_BY.JOB}


def upgrade() -> None:
    """Apply."""
    for table, column, kind in COLUMNS:
        op.add_column(table, sa.Column(column, kind, nullable=True))
    op.add_column("series", sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True))
    for (name, view), table in zip(BEFORE.items(), ("instance", "job"), strict=True):
        FIRST._make(name, view.replace(f"\nFROM {table}", f",\n    {table}.stored_as\nFROM {table}"))
    if op.get_bind().dialect.name == "postgresql":
        audit_columns.write_comments(op.get_bind())


def downgrade() -> None:
    """Undo. A view cannot lose a column: both are made anew, as they were, and granted to the role again."""
    for name in BEFORE:
        op.execute(f"DROP VIEW {name}")
    op.drop_column("series", "fetched_at")
    for table, column, _ in COLUMNS:
        op.drop_column(table, column)
    for name, view in BEFORE.items():
        FIRST._make(name, view)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(FIRST.MAKE_ROLE)
