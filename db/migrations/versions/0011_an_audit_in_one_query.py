"""Events bear the hash of the row that they are about; views for every question, comments, a role that reads them.

The role belongs to the whole server: where it may not be made here, an administrator makes it and grants the views.
"""

import sqlalchemy as sa
from alembic import op

from db import audit_columns

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INDICES = (
    ("event", "at"),
    ("event", "code"),
    ("instance", "patient_id"),
    ("job", "supersedes_id"),
    ("job_instance", "instance_id"),
)
ROLE = "scleroscan_auditor"
TRAIL = """
SELECT event.id AS event_id, {event.at} AS at, event.who, series.study_uid, event.series_uid, event.sequence,
    event.subject, event.subject_id, event.from_state, event.to_state, event.code, event.detail,
    event.previous_hash, event.hash{more}
FROM event {join} series ON series.uid = event.series_uid
"""
# Replaced where that can be done: dropping a view drops the grants that auditors have on it.
TRAIL_NOW = TRAIL.replace("{more}", ", event.subject_hash").replace("{join}", "LEFT JOIN")
TRAIL_BEFORE = TRAIL.replace("{more}", "").replace("{join}", "JOIN")
VIEWS = {
    "audit_series": """
WITH sent AS (
    SELECT series_uid, calling_ae, COUNT(*) AS images, MIN(patient_id) AS patient_id,
        MIN(accession_number) AS accession_number
    FROM instance WHERE replaced_at IS NULL GROUP BY series_uid, calling_ae
), whole AS (
    SELECT series_uid, CAST(SUM(images) AS INTEGER) AS images, MIN(patient_id) AS patient_id,
        MIN(accession_number) AS accession_number, {senders} AS senders
    FROM (SELECT * FROM sent ORDER BY series_uid, calling_ae) AS ordered GROUP BY series_uid
)
SELECT series.uid AS series_uid, series.study_uid, study.study_date, whole.patient_id, whole.accession_number,
    series.modality, series.description, series.state, series.code, series.detail, whole.images, whole.senders,
    {series.first_arrival_at} AS received_at, {series.last_arrival_at} AS last_image_at
FROM series LEFT JOIN study ON study.uid = series.study_uid LEFT JOIN whole ON whole.series_uid = series.uid
""",
    "audit_image": """
SELECT job_instance.job_id, instance.series_uid, instance.sop_uid, instance.sop_class, instance.digest,
    instance.size_bytes, {instance.received_at} AS received_at, instance.calling_ae AS sender,
    instance.receiving_ae AS receiver, instance.transfer_syntax, instance.patient_id, instance.accession_number,
    {instance.replaced_at} AS replaced_at, {instance.removed_at} AS removed_at
FROM instance LEFT JOIN job_instance ON job_instance.instance_id = instance.id
""",
    "audit_job": """
SELECT job.id AS job_id, job.series_uid, series.study_uid, job.state, job.code, job.reason, job.attempt AS attempts,
    model.name AS model_name, model.version AS model_version, job.model_digest, job.settings_digest,
    job.instances_digest, job.supersedes_id AS supersedes_job_id, {job.created_at} AS opened_at,
    {job.updated_at} AS changed_at
FROM job LEFT JOIN series ON series.uid = job.series_uid LEFT JOIN model ON model.digest = job.model_digest
""",
    "audit_measurement": "SELECT job_id, region, side, zone, quantity, value, unit FROM measurement",
    "audit_delivery": """
SELECT delivery.id AS delivery_id, delivery.job_id, job.series_uid, output.kind, output.sop_uid AS object_uid,
    output.digest AS object_digest, {destination} AS destination, delivery.state, delivery.status, delivery.reason,
    {delivery.created_at} AS opened_at, {delivery.sent_at} AS sent_at, {delivery.committed_at} AS committed_at
FROM delivery LEFT JOIN output ON output.id = delivery.output_id LEFT JOIN job ON job.id = delivery.job_id
""",
    "audit_model": "SELECT digest, name, version, card, {model.first_seen_at} AS first_seen_at FROM model",
}
# The same columns as before, looked up for the jobs that are asked for instead of gathered for all.
RESULTS_BY_JOB = """
SELECT images.patient_id, images.accession_number, study.study_date, study.uid AS study_uid, series.uid AS series_uid,
    job.id AS job_id, job.state, job.code, NULLIF(images.instances, 0) AS instances,
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
    sending.delivered_at, sending.committed_at, number.consolidation_extent_pct,
    (SELECT string_agg(code, ', ' ORDER BY code) FROM quality_flag WHERE quality_flag.job_id = job.id) AS flags,
    number.total_extent_lower_pct, number.total_extent_upper_pct,
    number.reticulation_extent_lower_pct, number.reticulation_extent_upper_pct{superseded_by}
FROM job JOIN series ON series.uid = job.series_uid JOIN study ON study.uid = series.study_uid
JOIN LATERAL (
    SELECT COUNT(*) AS numbers,
        MAX(value) FILTER (WHERE region = 'lung' AND quantity = 'volume') AS lung_volume_ml,
        MAX(value) FILTER (WHERE region = 'total' AND quantity = 'extent') AS total_extent_pct,
        MAX(value) FILTER (WHERE region = 'ggo' AND quantity = 'extent') AS ggo_extent_pct,
        MAX(value) FILTER (WHERE region = 'reticulation' AND quantity = 'extent') AS reticulation_extent_pct,
        MAX(value) FILTER (WHERE region = 'total' AND quantity = 'area_extent') AS total_area_extent_pct,
        MAX(value) FILTER (WHERE region = 'consolidation' AND quantity = 'extent') AS consolidation_extent_pct,
        MAX(value) FILTER (WHERE region = 'total' AND quantity = 'extent_lower') AS total_extent_lower_pct,
        MAX(value) FILTER (WHERE region = 'total' AND quantity = 'extent_upper') AS total_extent_upper_pct,
        MAX(value) FILTER (WHERE region = 'reticulation' AND quantity = 'extent_lower')
            AS reticulation_extent_lower_pct,
        MAX(value) FILTER (WHERE region = 'reticulation' AND quantity = 'extent_upper')
            AS reticulation_extent_upper_pct
    FROM measurement WHERE measurement.job_id = job.id AND side = 'both' AND zone = 'whole'
) AS number ON number.numbers > 0
LEFT JOIN LATERAL (
    SELECT CASE WHEN COUNT(*) = COUNT(sent_at) THEN MAX(sent_at) END AS delivered_at,
        CASE WHEN COUNT(*) = COUNT(delivery.committed_at) THEN MAX(delivery.committed_at) END AS committed_at
    FROM delivery WHERE delivery.job_id = job.id
) AS sending ON TRUE
LEFT JOIN LATERAL (
    SELECT COUNT(*) AS instances, CAST(MIN(patient_id) AS VARCHAR) AS patient_id,
        CAST(MIN(accession_number) AS VARCHAR) AS accession_number
    FROM job_instance JOIN instance ON instance.id = job_instance.instance_id WHERE job_instance.job_id = job.id
) AS images ON TRUE
LEFT JOIN model ON model.digest = job.model_digest
"""
SUPERSEDED_BY = """,
    CASE WHEN job.state = 'superseded' THEN
        (SELECT MAX(newer.id) FROM job AS newer WHERE newer.supersedes_id = job.id) END AS superseded_by_job_id"""
RESULTS = {
    "audit_result": RESULTS_BY_JOB.format(superseded_by="") + "WHERE job.state <> 'superseded'",
    "audit_every_result": RESULTS_BY_JOB.format(superseded_by=SUPERSEDED_BY),
}
# Logins and parameters of a URL are nobody's to read; who can read a file of SQLite can read its tables as well.
DESTINATION = r"regexp_replace(regexp_replace(destination, '^(https?://)[^/]*@', '\1***@'), '\?.*$', '?***')"
WORDS = {
    "postgresql": {"senders": "string_agg(calling_ae, ', ')", "destination": DESTINATION},
    "sqlite": {"senders": "group_concat(calling_ae, ', ')", "destination": "delivery.destination"},
}
SHOWN = ("audit_result", "audit_every_result", "audit_trail", *VIEWS)
MAKE_ROLE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
        CREATE ROLE {ROLE} NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN RAISE WARNING 'role {ROLE} may not be made by this user';
END $$;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
        GRANT SELECT ON {", ".join(SHOWN)} TO {ROLE};
    END IF;
END $$;
"""  # noqa: S608  names of our own


class Times:
    """The times of a table as a view shows them: ``{event.at}``."""

    def __init__(self, table: str, sqlite: bool) -> None:
        self._table, self._sqlite = table, sqlite

    def __getattr__(self, column: str) -> str:
        name = f"{self._table}.{column}"
        # Postgres keeps the zone itself; SQLite has text, in UTC.
        return f"(replace({name}, ' ', 'T') || '+00:00')" if self._sqlite else name


def upgrade() -> None:
    """Apply."""
    op.add_column("event", sa.Column("subject_hash", sa.String(length=64), nullable=True))
    for table, column in INDICES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    _make("audit_trail", TRAIL_NOW)
    for name, view in VIEWS.items():
        _make(name, view)
    if op.get_bind().dialect.name == "postgresql":
        for name, view in RESULTS.items():
            op.execute(f"CREATE OR REPLACE VIEW {name} AS {view}")
        audit_columns.write_comments(op.get_bind())
        op.execute(MAKE_ROLE)


def _make(name: str, view: str) -> None:
    dialect = op.get_bind().dialect.name
    tables = ("event", "series", "instance", "job", "delivery", "model")
    if dialect == "sqlite":
        op.execute(f"DROP VIEW IF EXISTS {name}")
    statement = view.format(**WORDS[dialect], **{table: Times(table, dialect == "sqlite") for table in tables})
    op.execute(f"CREATE {'' if dialect == 'sqlite' else 'OR REPLACE '}VIEW {name} AS {statement}")


def downgrade() -> None:
    """Undo. A view with fewer columns cannot replace one with more; the role may serve other databases.

    The views of results stay as they are: they have the columns that they had.
    """
    for name in (*VIEWS, "audit_trail"):
        op.execute(f"DROP VIEW {name}")
    _make("audit_trail", TRAIL_BEFORE)
    for table, column in INDICES:
        op.drop_index(f"ix_{table}_{column}", table)
    op.drop_column("event", "subject_hash")
