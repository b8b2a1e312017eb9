"""Consolidation is measured apart; audit_result shows its extent, bounds of extents, and the quality flags."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

JOINED = {"postgresql": "string_agg(code, ', ' ORDER BY code)", "sqlite": "group_concat(code, ', ')"}
AS_BEFORE = """
CREATE OR REPLACE VIEW audit_result AS
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
    SELECT job_id, COUNT(*) AS instances,
        CAST(MIN(patient_id) AS VARCHAR) AS patient_id, CAST(MIN(accession_number) AS VARCHAR) AS accession_number
    FROM job_instance JOIN instance ON instance.id = job_instance.instance_id GROUP BY job_id
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
CONSOLIDATION = """,
        MAX(CASE WHEN region = 'consolidation' AND quantity = 'extent' THEN value END) AS consolidation_extent_pct,
        MAX(CASE WHEN region = 'total' AND quantity = 'extent_lower' THEN value END) AS total_extent_lower_pct,
        MAX(CASE WHEN region = 'total' AND quantity = 'extent_upper' THEN value END) AS total_extent_upper_pct,
        MAX(CASE WHEN region = 'reticulation' AND quantity = 'extent_lower' THEN value END)
            AS reticulation_extent_lower_pct,
        MAX(CASE WHEN region = 'reticulation' AND quantity = 'extent_upper' THEN value END)
            AS reticulation_extent_upper_pct
    FROM measurement"""
FLAGS = """, flags AS (
    SELECT job_id, {joined} AS flags
    FROM (SELECT job_id, code FROM quality_flag ORDER BY job_id, code) AS raised GROUP BY job_id
)
SELECT images.patient_id"""
SHOWN = """, number.consolidation_extent_pct, flags.flags,
    number.total_extent_lower_pct, number.total_extent_upper_pct,
    number.reticulation_extent_lower_pct, number.reticulation_extent_upper_pct
FROM job
LEFT JOIN flags ON flags.job_id = job.id"""


def upgrade() -> None:
    """Apply."""
    dialect = op.get_bind().dialect.name
    view = AS_BEFORE.replace("\n    FROM measurement", CONSOLIDATION)
    view = view.replace("\nSELECT images.patient_id", FLAGS.format(joined=JOINED[dialect]))
    view = view.replace("\nFROM job", SHOWN)
    # Replaced where that can be done: dropping a view drops the grants that auditors have on it.
    if dialect == "sqlite":
        op.execute("DROP VIEW audit_result")
        view = view.replace("CREATE OR REPLACE", "CREATE")
    op.execute(view)


def downgrade() -> None:
    """Undo. A view with fewer columns cannot replace one with more."""
    op.execute("DROP VIEW audit_result")
    op.execute(AS_BEFORE.replace("CREATE OR REPLACE", "CREATE"))
