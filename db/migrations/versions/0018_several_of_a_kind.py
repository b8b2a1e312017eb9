"""A job may have several SEGs and SRs, each for destinations that want it so: outputs have a role.

The views of results told the one object of a kind, and Postgres would fail where there are two: now the first.
"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

from db import audit_columns

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

KINDS = ("seg", "sr")


def upgrade() -> None:
    """Apply."""
    op.add_column("output", sa.Column("role", sa.String(), nullable=True))
    _make_views(first=True)
    if op.get_bind().dialect.name != "sqlite":
        audit_columns.write_comments(op.get_bind())


def downgrade() -> None:
    """Undo. Jobs with several of a kind must be gone before: an older version does not know whose they are."""
    _make_views(first=False)
    op.drop_column("output", "role")


def _make_views(first: bool) -> None:
    views = import_module("db.migrations.versions.0016_what_auditors_ask_by")
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    words = views.SQLITE if is_sqlite else views.POSTGRES
    times = {table: views.Times(table, is_sqlite) for table in ("series", "job", "sending")}
    select = views.SELECT
    for kind in KINDS if first else ():
        alone = f"AND kind = '{kind}')"
        assert alone in select  # noqa: S101  else nothing would be changed
        select = select.replace(alone, f"AND kind = '{kind}' ORDER BY output.id LIMIT 1)")
    views._replace(
        "audit_result", select.format(superseded_by="", **words, **times) + "WHERE job.state <> 'superseded'"
    )
    views._replace("audit_every_result", select.format(superseded_by=views.SUPERSEDED_BY, **words, **times))
