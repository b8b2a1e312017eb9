"""Deliveries keep the code of their last failure, and how and when it is proven that an archive has what was sent.

``audit_result`` says so in ``delivery_proof``; a page that was refused no longer hides when SEG and SR were delivered.
"""

import sqlalchemy as sa
from alembic import op

from db import audit_columns

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# For SQLite.
EVERY = """
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
), sending AS ({sending}), images AS (
    SELECT job_id, COUNT(*) AS instances,
        CAST(MIN(patient_id) AS VARCHAR) AS patient_id, CAST(MIN(accession_number) AS VARCHAR) AS accession_number
    FROM job_instance JOIN instance ON instance.id = job_instance.instance_id GROUP BY job_id
), flags AS (
    SELECT job_id, group_concat(code, ', ') AS flags
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
    number.reticulation_extent_lower_pct, number.reticulation_extent_upper_pct{superseded_by}{proof}
FROM job
LEFT JOIN flags ON flags.job_id = job.id
JOIN series ON series.uid = job.series_uid
JOIN study ON study.uid = series.study_uid
JOIN number ON number.job_id = job.id
LEFT JOIN images ON images.job_id = job.id
LEFT JOIN sending ON sending.job_id = job.id
LEFT JOIN model ON model.digest = job.model_digest
"""
# For Postgres: looked up for the jobs that are asked for instead of gathered for all.
EVERY_BY_JOB = """
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
    number.reticulation_extent_lower_pct, number.reticulation_extent_upper_pct{superseded_by}{proof}
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
{sending}) AS sending ON TRUE
LEFT JOIN LATERAL (
    SELECT COUNT(*) AS instances, CAST(MIN(patient_id) AS VARCHAR) AS patient_id,
        CAST(MIN(accession_number) AS VARCHAR) AS accession_number
    FROM job_instance JOIN instance ON instance.id = job_instance.instance_id WHERE job_instance.job_id = job.id
) AS images ON TRUE
LEFT JOIN model ON model.digest = job.model_digest
"""
# The newest job that was placed over it: of a job that is current again nothing is told.
SUPERSEDED_BY = """,
    CASE WHEN job.state = 'superseded' THEN
        (SELECT MAX(newer.id) FROM job AS newer WHERE newer.supersedes_id = job.id) END AS superseded_by_job_id"""
CURRENT = "WHERE job.state <> 'superseded'\n"
SENDING_BEFORE = """
    SELECT job_id,
        CASE WHEN COUNT(*) = COUNT(sent_at) THEN MAX(sent_at) END AS delivered_at,
        CASE WHEN COUNT(*) = COUNT(committed_at) THEN MAX(committed_at) END AS committed_at
    FROM delivery{where} GROUP BY job_id
"""
# Of several proofs the weaker one is told, which is also the last by its letters.
SENDING = """
    SELECT delivery.job_id,
        CASE WHEN COUNT(*) = COUNT(sent_at) THEN MAX(sent_at) END AS delivered_at,
        CASE WHEN COUNT(*) = COUNT(committed_at) THEN MAX(committed_at) END AS committed_at,
        CASE WHEN COUNT(*) > COUNT(sent_at) THEN NULL
             WHEN COUNT(*) = COUNT(committed_at) THEN MAX(proof)
             WHEN COUNT(proof_due_at) > 0 THEN 'open'
             ELSE 'not proven' END AS delivery_proof
    FROM delivery JOIN output ON output.id = delivery.output_id
    WHERE NOT (output.kind IN ('page', 'pdf', 'key_images') AND delivery.state = 'failed'){and_job}
    GROUP BY delivery.job_id
"""
PROOF = ", sending.delivery_proof"
TIMES = {
    "received_at": "series.first_arrival_at",
    "first_at": "MIN(at)",
    "delivered_at": "sending.delivered_at",
    "committed_at": "sending.committed_at",
}


def upgrade() -> None:
    """Apply."""
    for column in (
        sa.Column("code", sa.String(), nullable=True),
        sa.Column("transaction_uid", sa.String(length=64), nullable=True),
        sa.Column("proof", sa.String(), nullable=True),
        sa.Column("proof_tries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("proof_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resent", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("delivery", column)
    op.create_index("ix_delivery_transaction_uid", "delivery", ["transaction_uid"])
    op.create_index("ix_delivery_proof_due_at", "delivery", ["proof_due_at"])
    _make(SENDING, PROOF)


def downgrade() -> None:
    """Undo. A view cannot lose a column: both are made anew, and auditors have to be granted them again."""
    for name in ("audit_every_result", "audit_result"):
        op.execute(f"DROP VIEW {name}")
    op.drop_index("ix_delivery_proof_due_at", "delivery")
    op.drop_index("ix_delivery_transaction_uid", "delivery")
    for column in ("resent", "proof_due_at", "proof_tries", "proof", "transaction_uid", "code"):
        op.drop_column("delivery", column)
    _make(SENDING_BEFORE)


def _make(sending: str, proof: str = "") -> None:
    if op.get_bind().dialect.name == "sqlite":
        # SQLite has times as text, in UTC.
        times = {key: f"(replace({time}, ' ', 'T') || '+00:00')" for key, time in TIMES.items()}
        words = {"sending": sending.format(where="", and_job=""), "proof": proof, **times}
        _replace("audit_result", EVERY.format(superseded_by="", **words) + CURRENT)
        _replace("audit_every_result", EVERY.format(superseded_by=SUPERSEDED_BY, **words))
        return
    of_job = sending.format(where=" WHERE delivery.job_id = job.id", and_job=" AND delivery.job_id = job.id")
    words = {"sending": of_job, "proof": proof}
    _replace("audit_result", EVERY_BY_JOB.format(superseded_by="", **words) + CURRENT)
    _replace("audit_every_result", EVERY_BY_JOB.format(superseded_by=SUPERSEDED_BY, **words))
    audit_columns.write_comments(op.get_bind())


def _replace(name: str, view: str) -> None:
    """Make a view; in place of the older one where that can be done: dropping it drops the grants of auditors."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP VIEW IF EXISTS {name}")
        op.execute(f"CREATE VIEW {name} AS {view}")
    else:
        op.execute(f"CREATE OR REPLACE VIEW {name} AS {view}")
