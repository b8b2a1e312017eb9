"""The first tables, the triggers that make events append-only, and the auditors' views."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
KEY = sa.String(length=64)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

APPEND_ONLY = {
    "postgresql": """
        CREATE FUNCTION event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'events are only ever added'; END $$;
        CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
        FOR EACH STATEMENT EXECUTE FUNCTION event_is_append_only();
    """,
    "sqlite": """
        CREATE TRIGGER event_never_updated BEFORE UPDATE ON event
        BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END;
        CREATE TRIGGER event_never_deleted BEFORE DELETE ON event
        BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END;
    """,
}

AUDIT_RESULT = """
CREATE VIEW audit_result AS
WITH number AS (
    SELECT job_id,
        MAX(CASE WHEN region = 'lung' AND quantity = 'volume' THEN value END) AS lung_volume_ml,
        MAX(CASE WHEN region = 'total' AND quantity = 'extent' THEN value END) AS total_extent_pct,
        MAX(CASE WHEN region = 'ggo' AND quantity = 'extent' THEN value END) AS ggo_extent_pct,
        MAX(CASE WHEN region = 'reticulation' AND quantity = 'extent' THEN value END) AS reticulation_extent_pct,
        MAX(CASE WHEN region = 'total' AND quantity = 'area_extent' THEN value END) AS total_area_extent_pct
    FROM measurement WHERE side = 'both' AND zone = 'whole' GROUP BY job_id
), sending AS (
    SELECT job_id,
        CASE WHEN COUNT(*) = COUNT(sent_at) THEN MAX(sent_at) END AS delivered_at,
        CASE WHEN COUNT(*) = COUNT(committed_at) THEN MAX(committed_at) END AS committed_at
    FROM delivery GROUP BY job_id
), images AS (
    SELECT job_id, COUNT(*) AS instances FROM job_instance GROUP BY job_id
)
SELECT study.patient_id, study.accession_number, study.study_date, study.uid AS study_uid, series.uid AS series_uid,
    job.id AS job_id, job.state, job.code, images.instances,
    number.lung_volume_ml, number.total_extent_pct, number.ggo_extent_pct, number.reticulation_extent_pct,
    number.total_area_extent_pct,
    CASE WHEN number.total_extent_pct < 10 THEN 'limited'
         WHEN number.total_extent_pct > 30 THEN 'extensive'
         WHEN number.total_extent_pct IS NOT NULL THEN 'indeterminate, FVC required' END AS goh_category,
    (SELECT sop_uid FROM output WHERE output.job_id = job.id AND kind = 'seg') AS seg_uid,
    (SELECT sop_uid FROM output WHERE output.job_id = job.id AND kind = 'sr') AS sr_uid,
    model.name AS model_name, model.version AS model_version, job.model_digest, job.settings_digest,
    job.instances_digest, series.first_arrival_at AS received_at,
    (SELECT MIN(at) FROM event WHERE event.series_uid = job.series_uid AND subject = 'job'
        AND subject_id = CAST(job.id AS VARCHAR) AND to_state IN ('encoded', 'review')) AS assessed_at,
    sending.delivered_at, sending.committed_at
FROM job
JOIN series ON series.uid = job.series_uid
JOIN study ON study.uid = series.study_uid
JOIN number ON number.job_id = job.id
LEFT JOIN images ON images.job_id = job.id
LEFT JOIN sending ON sending.job_id = job.id
LEFT JOIN model ON model.digest = job.model_digest
WHERE job.state <> 'superseded'
"""

AUDIT_TRAIL = """
CREATE VIEW audit_trail AS
SELECT event.id AS event_id, event.at, event.who, series.study_uid, event.series_uid, event.sequence,
    event.subject, event.subject_id, event.from_state, event.to_state, event.code, event.detail,
    event.previous_hash, event.hash
FROM event JOIN series ON series.uid = event.series_uid
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "model",
        sa.Column("digest", KEY, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "study",
        sa.Column("uid", KEY, nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("patient_name", sa.String(), nullable=False),
        sa.Column("accession_number", sa.String(), nullable=False),
        sa.Column("study_date", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_table(
        "series",
        sa.Column("uid", KEY, nullable=False),
        sa.Column("study_uid", KEY, nullable=False),
        sa.Column("modality", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("first_arrival_at", TIME, nullable=False),
        sa.Column("last_arrival_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_uid"],
            ["study.uid"],
        ),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_index("ix_series_state", "series", ["state"])
    op.create_index("ix_series_study_uid", "series", ["study_uid"])

    op.create_table(
        "event",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("series_uid", KEY, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("from_state", sa.String(), nullable=True),
        sa.Column("to_state", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous_hash", KEY, nullable=False),
        sa.Column("hash", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["series_uid"],
            ["series.uid"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("series_uid", "sequence"),
    )
    op.create_table(
        "instance",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("series_uid", KEY, nullable=False),
        sa.Column("sop_uid", KEY, nullable=False),
        sa.Column("sop_class", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("calling_ae", sa.String(), nullable=False),
        sa.Column("receiving_ae", sa.String(), nullable=False),
        sa.Column("transfer_syntax", KEY, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("place", sa.JSON(), nullable=True),
        sa.Column("replaced_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["series_uid"],
            ["series.uid"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("series_uid", "sop_uid", "digest"),
    )
    op.create_index("ix_instance_sop_uid", "instance", ["sop_uid"])

    op.create_table(
        "job",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("series_uid", KEY, nullable=False),
        sa.Column("instances_digest", KEY, nullable=False),
        sa.Column("model_digest", KEY, nullable=False),
        sa.Column("settings_digest", KEY, nullable=False),
        sa.Column("supersedes_id", ROW_ID, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts_forgiven", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("notified_at", TIME, nullable=True),
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["series_uid"],
            ["series.uid"],
        ),
        sa.ForeignKeyConstraint(
            ["supersedes_id"],
            ["job.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_job_series_uid", "job", ["series_uid"])
    op.create_index("ix_job_state", "job", ["state"])

    op.create_table(
        "flag",
        sa.Column("job_id", ROW_ID, nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.PrimaryKeyConstraint("job_id", "code"),
    )
    op.create_table(
        "job_instance",
        sa.Column("job_id", ROW_ID, nullable=False),
        sa.Column("instance_id", ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instance.id"],
        ),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.PrimaryKeyConstraint("job_id", "instance_id"),
    )
    op.create_table(
        "measurement",
        sa.Column("job_id", ROW_ID, nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("quantity", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.PrimaryKeyConstraint("job_id", "region", "side", "zone", "quantity"),
    )
    op.create_table(
        "output",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("job_id", ROW_ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sop_uid", KEY, nullable=True),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "path"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("job_id", ROW_ID, nullable=False),
        sa.Column("output_id", ROW_ID, nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("notified_at", TIME, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("committed_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["job.id"],
        ),
        sa.ForeignKeyConstraint(
            ["output_id"],
            ["output.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("output_id", "destination"),
    )
    op.create_index("ix_delivery_job_id", "delivery", ["job_id"])
    op.create_index("ix_delivery_state", "delivery", ["state"])

    guard_events()
    op.execute(AUDIT_RESULT)
    op.execute(AUDIT_TRAIL)


def guard_events() -> None:
    """Make the database itself refuse changed or removed events."""
    name = op.get_bind().dialect.name
    statements = APPEND_ONLY[name].split("END;") if name == "sqlite" else [APPEND_ONLY[name]]
    for statement in statements:
        if statement.strip():
            op.execute(statement + "END;" if name == "sqlite" else statement)


def downgrade() -> None:
    """Undo."""
    op.execute("DROP VIEW audit_trail")
    op.execute("DROP VIEW audit_result")
    for table in ("delivery", "output", "measurement", "job_instance", "flag", "job", "instance", "event", "series"):
        op.drop_table(table)
    for table in ("study", "model"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION event_is_append_only()")
