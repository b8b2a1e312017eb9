"""audit_every_result shows superseded results beside the current ones; SQLite's views tell times with their offset."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JOINED = {"postgresql": "string_agg(code, ', ' ORDER BY code)", "sqlite": "group_concat(code, ', ')"}
EVERY = """
CREATE OR REPLACE VIEW {name} AS
WITH number AS (
    SELECT job_id,
        MAX(CASE WHEN region = 'lung' AND quantity = 'volume' THEN value END) AS lung_volume_ml,
        MAX(CASE WHEN region = 'total' AND quantity = 'extent' THEN value END) AS total_extent_pct,
        MAX(CASE WHEN region = 'ggo' AND quantity = 'extent' THEN value END) AS ggo_extent_pct,
        MAX(CASE WHEN region = 'reticulation' AND quantity = 'extent' THEN value END) AS reticulation_extent_pct,
        MAX(CASE WHEN region = 'total' AND quantity = 'area_extent' THEN value END) AS total_area_extent_pct,
        MAX(CASE WHEN region = 'consolidation' AND quantity = 'extent' THEN value END) AS consolidation_extent_pct,
        MAX(CASE WHEN region = 'total' AND quantity = 'extent_lower' THEN value END) AS total_extent_lower_pct,
        MAX(CASE WHEN region = 'total' AND quantity = 'extent_upper' THEN value END) AS total_extent_upper_pct,
        MAX(CASE WHEN region = 'reticulation' AND quantity = 'extent_lower' THEN value END)
            AS reticulation_extent_lower_pct,
        MAX(CASE WHEN region = 'reticulation' AND quantity = 'extent_upper' THEN value END)
            AS reticulation_extent_upper_pct
    FROM measurement WHERE side = 'both' AND zone = 'whole' GROUP BY job_id
), sending AS (
    SELECT job_id,
        CASE WHEN COUNT(*) = COUNT(sent_at) THEN MAX(sent_at) END AS delivered_at,
        CASE WHEN COUNT(*) = COUNT(committed_at) THEN MAX(committed_at) END AS committed_at
    FROM delivery GROUP BY job_id
), images AS (
    SELECT job_id, COUNT(*) AS instances,
        CAST(MIN(patient_id) AS VARCHAR) AS patient_id, CAST(MIN(accession_number) AS VARCHAR) AS accession_number
    FROM job_instance JOIN instance ON instance.id = job_instance.instance_id GROUP BY job_id
), flags AS (
    SELECT job_id, {joined} AS flags
    FROM (SELECT job_id, code FROM quality_flag ORDER BY job_id, code) AS raised GROUP BY job_id
)
SELECT images.patient_id, images.accession_number, study.study_date, study.uid AS study_uid, series.uid AS series_uid,
    job.id AS job_id, job.state, job.code, images.instances,
    number.lung_volume_ml, number.total_extent_pct, number.ggo_extent_pct, number.reticulation_extent_pct,
    number.total_area_extent_pct,
    CASE WHEN number.total_extent_pct < 10 THEN 'limited'
         WHEN number.total_extent_pct > 30 THEN 'extensive'
         WHEN number.total_extent_pct IS NOT NULL THEN 'indeterminate, FVC required' END AS goh_category,
    (SELECT sop_uid FROM output WHERE output.job_id = job.id AND kind = 'seg') AS seg_uid,
    (SELECT sop_uid FROM output WHERE output.job_id = job.id AND kind = 'sr') AS sr_uid,
    model.name AS model_name, model.version AS model_version, job.model_digest, job.settings_digest,
    job.instances_digest, {received_at} AS received_at,
    (SELECT {first_at} FROM event WHERE event.series_uid = job.series_uid AND subject = 'job'
        AND subject_id = CAST(job.id AS VARCHAR) AND to_state IN ('encoded', 'review')) AS assessed_at,
    {delivered_at} AS delivered_at, {committed_at} AS committed_at,
    number.consolidation_extent_pct, flags.flags,
    number.total_extent_lower_pct, number.total_extent_upper_pct,
    number.reticulation_extent_lower_pct, number.reticulation_extent_upper_pct{superseded_by}
FROM job
LEFT JOIN flags ON flags.job_id = job.id
JOIN series ON series.uid = job.series_uid
JOIN study ON study.uid = series.study_uid
JOIN number ON number.job_id = job.id
LEFT JOIN images ON images.job_id = job.id
LEFT JOIN sending ON sending.job_id = job.id
LEFT JOIN model ON model.digest = job.model_digest
"""
# The newest job that was placed over it: of a job that is current again nothing is told.
SUPERSEDED_BY = """,
    CASE WHEN job.state = 'superseded' THEN
        (SELECT MAX(newer.id) FROM job AS newer WHERE newer.supersedes_id = job.id) END AS superseded_by_job_id"""
CURRENT = "WHERE job.state <> 'superseded'\n"
TRAIL = """
CREATE OR REPLACE VIEW audit_trail AS
SELECT event.id AS event_id, {at} AS at, event.who, series.study_uid, event.series_uid, event.sequence,
    event.subject, event.subject_id, event.from_state, event.to_state, event.code, event.detail,
    event.previous_hash, event.hash
FROM event JOIN series ON series.uid = event.series_uid
"""
TIMES = {
    "received_at": "series.first_arrival_at",
    "first_at": "MIN(at)",
    "delivered_at": "sending.delivered_at",
    "committed_at": "sending.committed_at",
    "at": "event.at",
}


def upgrade() -> None:
    """Apply."""
    _replace("audit_result", EVERY + CURRENT, with_offset=True)
    _replace("audit_every_result", EVERY, SUPERSEDED_BY, with_offset=True)
    _replace("audit_trail", TRAIL, with_offset=True)


def downgrade() -> None:
    """Undo."""
    op.execute("DROP VIEW audit_every_result")
    _replace("audit_result", EVERY + CURRENT)
    _replace("audit_trail", TRAIL)


def _replace(name: str, view: str, superseded_by: str = "", with_offset: bool = False) -> None:
    dialect = op.get_bind().dialect.name
    # Postgres keeps the zone itself; SQLite has text, in UTC.
    as_text = with_offset and dialect == "sqlite"
    times = {key: f"(replace({time}, ' ', 'T') || '+00:00')" if as_text else time for key, time in TIMES.items()}
    statement = view.format(name=name, joined=JOINED[dialect], superseded_by=superseded_by, **times)
    # Replaced where that can be done: dropping a view drops the grants that auditors have on it.
    if dialect == "sqlite":
        op.execute(f"DROP VIEW IF EXISTS {name}")
        statement = statement.replace("CREATE OR REPLACE", "CREATE")
    op.execute(statement)
