"""What auditors ask by stands in the job, each with an index: patient, and when it was measured.

The views gathered patient, accession number and number of images from all images of a job, and Postgres sought the time
of measuring through the events of all series. Series are gathered one by one, and events of people have an index too.
"""

# ruff: noqa: S608  words of our own

from importlib import import_module

import sqlalchemy as sa
from alembic import op

from db import audit_columns

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

COLUMNS = ("patient_id", "accession_number", "images", "assessed_at")
INDICES = (("job", "patient_id"), ("job", "assessed_at"), ("series", "first_arrival_at"))
IMAGES = "FROM job_instance JOIN instance ON instance.id = job_instance.instance_id WHERE job_instance.job_id = job.id"
# The first event, whatever the clock said.
MEASURED = """SELECT at FROM event WHERE event.series_uid = job.series_uid AND subject = 'job'
    AND subject_id = CAST(job.id AS VARCHAR) AND to_state IN ('encoded', 'review') ORDER BY sequence LIMIT 1"""
FILL = f"""
UPDATE job SET patient_id = (SELECT MIN(patient_id) {IMAGES}), accession_number = (SELECT MIN(accession_number)
    {IMAGES}),
    images = (SELECT NULLIF(COUNT(*), 0) {IMAGES}), assessed_at = ({MEASURED})
"""
# What the views tell of the numbers of a job.
TOLD = (
    "side = 'both' AND zone = 'whole' "
    "AND quantity IN ('volume', 'extent', 'extent_lower', 'extent_upper', 'area_extent')"
)
PARTIAL = (
    f"CREATE INDEX ix_measurement_whole ON measurement (job_id, region, quantity) INCLUDE (value) WHERE {TOLD}",
    "CREATE INDEX ix_event_operator ON event (at) WHERE who LIKE 'operator:%'",
)
# Compiling a query takes longer than any of these takes, and rows that lie apart cost little on disks without heads. A
# role hands such settings to nobody who is in it.
SUITED = """
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET jit = off', current_database());
    EXECUTE format('ALTER DATABASE %I SET random_page_cost = 1.1', current_database());
EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING 'jit and random_page_cost may not be set by this user';
END $$
"""
NUMBERS = """
        MAX({of} region = 'lung' AND quantity = 'volume') AS lung_volume_ml,
        MAX({of} region = 'total' AND quantity = 'extent') AS total_extent_pct,
        MAX({of} region = 'ggo' AND quantity = 'extent') AS ggo_extent_pct,
        MAX({of} region = 'reticulation' AND quantity = 'extent') AS reticulation_extent_pct,
        MAX({of} region = 'total' AND quantity = 'area_extent') AS total_area_extent_pct,
        MAX({of} region = 'consolidation' AND quantity = 'extent') AS consolidation_extent_pct,
        MAX({of} region = 'total' AND quantity = 'extent_lower') AS total_extent_lower_pct,
        MAX({of} region = 'total' AND quantity = 'extent_upper') AS total_extent_upper_pct,
        MAX({of} region = 'reticulation' AND quantity = 'extent_lower') AS reticulation_extent_lower_pct,
        MAX({of} region = 'reticulation' AND quantity = 'extent_upper') AS reticulation_extent_upper_pct"""
# Of several proofs the weaker one is told, which is also the last by its letters.
SENDING = """
        CASE WHEN COUNT(*) = COUNT(sent_at) THEN MAX(sent_at) END AS delivered_at,
        CASE WHEN COUNT(*) = COUNT(committed_at) THEN MAX(committed_at) END AS committed_at,
        CASE WHEN COUNT(*) > COUNT(sent_at) THEN NULL
             WHEN COUNT(*) = COUNT(committed_at) THEN MAX(proof)
             WHEN COUNT(proof_due_at) > 0 THEN 'open'
             ELSE 'not proven' END AS delivery_proof
    FROM delivery JOIN output ON output.id = delivery.output_id
    WHERE NOT (output.kind IN ('page', 'pdf', 'key_images') AND delivery.state = 'failed')"""
SELECT = """
SELECT job.patient_id, job.accession_number, study.study_date, study.uid AS study_uid, job.series_uid,
    job.id AS job_id, job.state, job.code, CAST(job.images AS {integer}) AS instances,
    number.lung_volume_ml, number.total_extent_pct, number.ggo_extent_pct, number.reticulation_extent_pct,
    number.total_area_extent_pct,
    CASE WHEN number.total_extent_pct < 10 THEN 'limited'
         WHEN number.total_extent_pct > 30 THEN 'extensive'
         WHEN number.total_extent_pct IS NOT NULL THEN 'indeterminate, FVC required' END AS goh_category,
    (SELECT sop_uid FROM output WHERE output.job_id = job.id AND kind = 'seg') AS seg_uid,
    (SELECT sop_uid FROM output WHERE output.job_id = job.id AND kind = 'sr') AS sr_uid,
    model.name AS model_name, model.version AS model_version, job.model_digest, job.settings_digest,
    job.instances_digest, {series.first_arrival_at} AS received_at, {job.assessed_at} AS assessed_at,
    {sending.delivered_at} AS delivered_at, {sending.committed_at} AS committed_at, number.consolidation_extent_pct,
    {flags} AS flags,
    number.total_extent_lower_pct, number.total_extent_upper_pct,
    number.reticulation_extent_lower_pct, number.reticulation_extent_upper_pct{superseded_by}, sending.delivery_proof
FROM job LEFT JOIN series ON series.uid = job.series_uid LEFT JOIN study ON study.uid = series.study_uid
{numbers}
{deliveries}
LEFT JOIN model ON model.digest = job.model_digest
"""
# Looked up for the jobs that are asked for. What a query does not ask for Postgres leaves out, where it is joined from
# the left and has one row by its form: without GROUP BY.
POSTGRES = {
    "integer": "BIGINT",
    "flags": "(SELECT string_agg(code, ', ' ORDER BY code) FROM quality_flag WHERE quality_flag.job_id = job.id)",
    "numbers": f"""JOIN LATERAL (SELECT COUNT(*) AS numbers, {NUMBERS.format(of="value) FILTER (WHERE")}
    FROM measurement WHERE measurement.job_id = job.id AND {TOLD}) AS number ON number.numbers > 0""",
    "deliveries": f"LEFT JOIN LATERAL (SELECT {SENDING} AND delivery.job_id = job.id) AS sending ON TRUE",
}
SQLITE = {
    "integer": "INTEGER",
    "flags": """(SELECT group_concat(code, ', ') FROM
        (SELECT code FROM quality_flag WHERE job_id = job.id ORDER BY code))""",
    "numbers": f"""JOIN (SELECT job_id, {NUMBERS.replace(") AS", " THEN value END) AS").format(of="CASE WHEN")}
    FROM measurement WHERE side = 'both' AND zone = 'whole' GROUP BY job_id) AS number ON number.job_id = job.id""",
    "deliveries": f"""LEFT JOIN (SELECT delivery.job_id, {SENDING} GROUP BY delivery.job_id) AS sending
    ON sending.job_id = job.id""",
}
# The newest job that was placed over it: of a job that is current again nothing is told.
SUPERSEDED_BY = """,
    CASE WHEN job.state = 'superseded' THEN
        (SELECT MAX(newer.id) FROM job AS newer WHERE newer.supersedes_id = job.id) END AS superseded_by_job_id"""
JOB = """
SELECT job.id AS job_id, job.series_uid, series.study_uid, job.state, job.code, job.reason, job.attempt AS attempts,
    model.name AS model_name, model.version AS model_version, job.model_digest, job.settings_digest,
    job.instances_digest, job.supersedes_id AS supersedes_job_id, {job.created_at} AS opened_at,
    {job.updated_at} AS changed_at, job.patient_id
FROM job LEFT JOIN series ON series.uid = job.series_uid LEFT JOIN model ON model.digest = job.model_digest
"""
# For Postgres.
SERIES = """
SELECT series.uid AS series_uid, series.study_uid, study.study_date, whole.patient_id, whole.accession_number,
    series.modality, series.description, series.state, series.code, series.detail, whole.images, whole.senders,
    series.first_arrival_at AS received_at, series.last_arrival_at AS last_image_at
FROM series LEFT JOIN study ON study.uid = series.study_uid LEFT JOIN LATERAL (
    SELECT CAST(NULLIF(COUNT(*), 0) AS INTEGER) AS images, MIN(patient_id) AS patient_id,
        MIN(accession_number) AS accession_number,
        string_agg(DISTINCT calling_ae, ', ' ORDER BY calling_ae) AS senders
    FROM instance WHERE instance.series_uid = series.uid AND replaced_at IS NULL
) AS whole ON TRUE
"""


class Times:
    """The times of a table as a view shows them: ``{job.assessed_at}``. SQLite has text, in UTC."""

    def __init__(self, table: str, sqlite: bool) -> None:
        self._table, self._sqlite = table, sqlite

    def __getattr__(self, column: str) -> str:
        name = f"{self._table}.{column}"
        return f"(replace({name}, ' ', 'T') || '+00:00')" if self._sqlite else name


def upgrade() -> None:
    """Apply."""
    for added in (
        sa.Column("patient_id", sa.String(), nullable=True),
        sa.Column("accession_number", sa.String(), nullable=True),
        sa.Column("images", sa.Integer(), nullable=True),
        sa.Column("assessed_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("job", added)
    op.execute(FILL)
    for table, column in INDICES:
        op.create_index(f"ix_{table}_{column}", table, [column])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    words = SQLITE if is_sqlite else POSTGRES
    times = {table: Times(table, is_sqlite) for table in ("series", "job", "sending")}
    _replace("audit_result", SELECT.format(superseded_by="", **words, **times) + "WHERE job.state <> 'superseded'")
    _replace("audit_every_result", SELECT.format(superseded_by=SUPERSEDED_BY, **words, **times))
    _replace("audit_job", JOB.format(**times))
    if not is_sqlite:
        _replace("audit_series", SERIES)
        for statement in (*PARTIAL, SUITED):
            op.execute(statement)
        audit_columns.write_comments(op.get_bind())


def downgrade() -> None:
    """Undo. A view cannot lose a column: all four are made anew, as they were, and granted to the role again."""
    views = import_module("db.migrations.versions.0011_an_audit_in_one_query")
    results = import_module("db.migrations.versions.0012_delivery_codes_and_proof")
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("audit_every_result", "audit_result", "audit_job", "audit_series"):
        op.execute(f"DROP VIEW {name}")
    for table, column in INDICES:
        op.drop_index(f"ix_{table}_{column}", table)
    for name in COLUMNS:
        op.drop_column("job", name)
    results._make(results.SENDING, results.PROOF)
    for name in ("audit_job", "audit_series"):
        views._make(name, views.VIEWS[name])
    if not is_sqlite:
        op.execute("DROP INDEX ix_measurement_whole")
        op.execute("DROP INDEX ix_event_operator")
        op.execute(views.MAKE_ROLE)


def _replace(name: str, view: str) -> None:
    """Make a view; in place of the older one where that can be done: dropping it drops the grants of auditors."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP VIEW IF EXISTS {name}")
        op.execute(f"CREATE VIEW {name} AS {view}")
    else:
        op.execute(f"CREATE OR REPLACE VIEW {name} AS {view}")
