"""The rows of a large site, made by the database itself: what listener, workers and archives leave of so many series.

Of 200 series one each is skipped, incomplete, refused by the reading gate, in review, refused by the archive, on its
    way,
discarded, released and corrected; all others are measured, delivered and committed to. Every fiftieth was measured once
more by a newer model. A patient has five series, ``P7`` two in a thousand of all. Hashes of events are none that
    verify.
"""

# ruff: noqa: S608  words of our own

from sqlalchemy import Engine, text

from tests.support.ct import TinyCT
from tests.support.results import assessed

PACS = "dicom://PACS@10.0.0.5:104"
# What a series is, by its number modulo 200.
SKIPPED, INCOMPLETE, REJECTED, REVIEW, REFUSED, PENDING, DISCARDED, RELEASED, CORRECTED = range(190, 199)
STATE = f"""CASE n % 200 WHEN {REJECTED} THEN 'rejected' WHEN {REVIEW} THEN 'review' WHEN {REFUSED} THEN 'failed'
    WHEN {PENDING} THEN 'encoded' WHEN {DISCARDED} THEN 'discarded' ELSE 'delivered' END"""
CODE = f"""CASE n % 200 WHEN {REJECTED} THEN 'missing_slices' WHEN {REVIEW} THEN 'implausible_lung_volume'
    WHEN {REFUSED} THEN 'delivery_failed' END"""
# Seventy a day: of 100,000 series the last come in February 2026.
AT = "TIMESTAMPTZ '2026-02-28 08:00+00' - (:series - n) * INTERVAL '21 minutes'"
SERIES = f"""
CREATE TEMPORARY TABLE site AS SELECT n, '1.2.826.0.1.' || n AS uid, {AT} AS at, md5(n::text) || md5('x' || n) AS
    digest,
    'P' || CASE WHEN n % 500 = 3 THEN 7 ELSE n / 5 END AS patient_id, n % 200 AS kind FROM generate_series(1,
        :series) AS n;
INSERT INTO study (uid, patient_id, patient_name, accession_number, study_date)
    SELECT uid || '.0', patient_id, 'PHANTOM^ONE', 'A' || n, to_char(at, 'YYYYMMDD') FROM site;
INSERT INTO series (uid, study_uid, modality, description, state, code, detail, first_arrival_at, last_arrival_at)
    SELECT uid, uid || '.0', 'CT', 'chest', CASE kind WHEN {SKIPPED} THEN 'skipped'
        WHEN {INCOMPLETE} THEN 'incomplete' ELSE 'complete' END, CASE kind WHEN {SKIPPED} THEN 'not_eligible'
        WHEN {INCOMPLETE} THEN 'fewer_than_expected' ELSE 'contiguous' END, '{{"slices": 300}}', at, at + INTERVAL
            '30 s'
    FROM site;
INSERT INTO instance (id, series_uid, sop_uid, sop_class, digest, size_bytes, received_at, calling_ae, receiving_ae,
        transfer_syntax, path, patient_id, patient_name, accession_number, plane)
    SELECT n::bigint * :images + i, uid, uid || '.' || i, '1.2.840.10008.5.1.4.1.1.2', md5(n || '.' || i) || md5(i ||
        '.' || n),
        525000, at + i * INTERVAL '0.1 s', 'CT' || n % 4, 'SCLEROSCAN', '1.2.840.10008.1.2.1',
        'series/' || digest || '/' || i || '.dcm', patient_id, 'PHANTOM^ONE', 'A' || n,
        '{{"orientation": [1, 0, 0, 0, 1, 0], "position": [0, 0, -50], "rows": 512, "columns": 512}}'
    FROM site, generate_series(1, :images) AS i;
"""
JOBS = f"""
INSERT INTO model (digest, name, version, card, first_seen_at)
    SELECT repeat(v::text, 64), 'ssc-ild-unet', v::text, '{{}}', TIMESTAMPTZ '2023-12-01' + v * INTERVAL '1 year'
    FROM generate_series(1, 2) AS v;
CREATE TEMPORARY TABLE work AS
    SELECT n AS id, 1 AS version, CASE WHEN n % 50 = 7 THEN 'superseded' ELSE {STATE} END AS state, {CODE} AS code,
        site.*
    FROM site WHERE kind NOT IN ({SKIPPED}, {INCOMPLETE})
    UNION ALL SELECT :series + n, 2, 'delivered', NULL, site.* FROM site WHERE n % 50 = 7;
INSERT INTO job (id, key, series_uid, instances_digest, model_digest, settings_digest, supersedes_id, state, stage,
    attempt,
        attempts_forgiven, due_at, code, reason, detail, created_at, updated_at, patient_id, accession_number, images,
        assessed_at)
    SELECT id, md5(id::text) || digest::varchar(32), uid, digest, repeat(version::text, 64), repeat('s', 64),
        CASE version WHEN 2 THEN n END, state, 'encode', 1, 0, at, code, 'why', '{{}}', at, at + INTERVAL '5 minutes',
        patient_id, 'A' || n, :images, CASE WHEN state <> 'rejected' THEN at + INTERVAL '4 minutes' END FROM work;
INSERT INTO job_instance (job_id, instance_id)
    SELECT id, n::bigint * :images + i FROM work, generate_series(1, :images) AS i;
CREATE TEMPORARY TABLE done AS SELECT * FROM work WHERE state <> 'rejected';
INSERT INTO measurement (job_id, region, side, zone, quantity, value, unit)
    SELECT id, region, side, zone, quantity, (id * 7919 % 1000) / 10.0, unit FROM done, number;
INSERT INTO quality_flag (job_id, code, text, value)
    SELECT id, 'thick_slices', 'slices are 5 mm thick', 5 FROM done WHERE n % 10 = 0;
INSERT INTO exam (job_id, study_uid, acquired, patient_id, issuer, patient_name, birth_date, kernel, thickness_mm,
    contrast,
        position)
    SELECT id, uid || '.0', to_char(at, 'YYYYMMDD'), patient_id, '', 'PHANTOM^ONE', '19600101', 'B70f', 1.0,
    FALSE, 'supine' FROM done;
INSERT INTO output (id, job_id, kind, sop_uid, digest, path)
    SELECT id * 4 + k, id, (ARRAY['seg', 'lungs', 'sr', 'page'])[k], '2.25.' || id || k, digest, digest || '/' || k
        || '.dcm'
    FROM done, generate_series(1, 4) AS k;
INSERT INTO delivery (id, job_id, output_id, destination, state, attempts, due_at, status, code, reason, created_at,
    sent_at,
        committed_at, proof)
    SELECT output.id, done.id, output.id, '{PACS}', sent.state, 1, at,
        CASE sent.state WHEN 'failed' THEN 42752 WHEN 'committed' THEN 0 END,
        CASE WHEN sent.state <> 'committed' THEN 'out_of_resources' END,
        CASE WHEN sent.state <> 'committed' THEN 'out of resources' END, at + INTERVAL '4 minutes',
        CASE sent.state WHEN 'committed' THEN at + INTERVAL '5 minutes' END,
        CASE sent.state WHEN 'committed' THEN at + INTERVAL '6 minutes' END,
        CASE sent.state WHEN 'committed' THEN 'commitment' END
    FROM done JOIN output ON output.job_id = done.id, LATERAL (SELECT CASE done.state WHEN 'failed' THEN 'failed'
        WHEN 'encoded' THEN 'pending' ELSE 'committed' END AS state) AS sent
    WHERE done.state NOT IN ('review', 'discarded');
"""
EVENTS = f"""
CREATE TEMPORARY TABLE happened AS
    SELECT n, uid, 'series' AS subject, uid AS subject_id, arrow.*, 1 AS part FROM site, LATERAL (VALUES
        (1, NULL, 'receiving', NULL, 'dicom_node', at, '{{}}'),
        (2, 'receiving', CASE kind WHEN {SKIPPED} THEN 'skipped' WHEN {INCOMPLETE} THEN 'incomplete' ELSE 'complete'
            END,
            CASE kind WHEN {CORRECTED} THEN 'patient_corrected' ELSE 'contiguous' END, 'dicom_node', at + INTERVAL
                '30 s',
            '{{"from": [{{"patient_id": "PX"}}], "to": {{"patient_id": "P"}}}}')
    ) AS arrow (step, from_state, to_state, code, who, at, detail)
    UNION ALL SELECT n, uid, 'job', id::text, arrow.*, 1 + version FROM work, LATERAL (VALUES
        (1, NULL, 'queued', NULL, 'dicom_node', at + INTERVAL '31 s', '{{}}'),
        (2, 'queued', 'running', NULL, 'worker@ct', at + INTERVAL '40 s', '{{}}'),
        (3, 'running', 'running', 'stage', 'worker@ct', at + INTERVAL '41 s', '{{"stage": "read"}}'),
        (4, 'running', 'running', 'stage', 'worker@ct', at + INTERVAL '45 s', '{{"stage": "lungs"}}'),
        (5, 'running', 'running', 'stage', 'worker@ct', at + INTERVAL '65 s', '{{"stage": "patterns"}}'),
        (6, 'running', 'running', 'stage', 'worker@ct', at + INTERVAL '95 s', '{{"stage": "quantify"}}'),
        (7, 'running', 'running', 'stage', 'worker@ct', at + INTERVAL '97 s', '{{"stage": "encode"}}'),
        (8, 'running', CASE WHEN state IN ('rejected', 'review') THEN state ELSE 'encoded' END, code, 'worker@ct',
            at + INTERVAL '4 minutes', '{{"results_hash": "' || digest || '"}}'),
        (9, 'encoded', CASE WHEN version = 1 THEN state ELSE 'delivered' END,
            CASE WHEN state = 'superseded' THEN 'measured_again' WHEN kind = {RELEASED} THEN 'released'
                WHEN kind = {DISCARDED} THEN 'discarded' END,
            CASE WHEN kind IN ({RELEASED}, {DISCARDED}) OR state = 'superseded' THEN 'operator:anna' ELSE 'worker@ct'
                END,
            at + INTERVAL '5 minutes', '{{}}')
    ) AS arrow (step, from_state, to_state, code, who, at, detail)
    UNION ALL SELECT n, uid, 'delivery', delivery.id::text, arrow.*, 4 FROM delivery JOIN work ON work.id =
        delivery.job_id,
        LATERAL (VALUES
        (1, NULL, 'pending', NULL, 'worker@ct', created_at, '{{}}'),
        (2, 'pending', 'sent', NULL, 'worker@ct', sent_at, '{{}}'),
        (3, 'sent', 'committed', 'commitment', 'worker@ct', committed_at, '{{}}')
    ) AS arrow (step, from_state, to_state, code, who, at, detail) WHERE arrow.at IS NOT NULL;
INSERT INTO event (id, series_uid, sequence, at, who, subject, subject_id, from_state, to_state, code, detail,
    subject_hash,
        previous_hash, hash)
    SELECT ROW_NUMBER() OVER (ORDER BY n, sequence), uid, sequence, at, who, subject, subject_id, from_state,
        to_state, code,
        detail::json, hash, LAG(hash, 1, repeat('0', 64)) OVER (PARTITION BY uid ORDER BY sequence), hash
    FROM (SELECT *, md5(uid || '.' || sequence) || md5(sequence || uid) AS hash
          FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY uid ORDER BY part, subject_id, step) AS sequence
                FROM happened) AS numbered) AS hashed;
"""


def fill(engine: Engine, series: int, images: int) -> None:
    """Fill an empty Postgres database, with ``images`` of each series."""
    numbers = [
        {"region": m.region, "side": m.side, "zone": m.zone, "quantity": m.quantity, "unit": m.unit}
        for m in assessed(TinyCT()).measurements
    ]
    with engine.begin() as connection:
        # What is made here refers to what is made here: without checks it takes a third of the time.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("CREATE TEMPORARY TABLE number (region text, side text, zone text, quantity text, unit text)")
        )
        connection.execute(text("INSERT INTO number VALUES (:region, :side, :zone, :quantity, :unit)"), numbers)
        for statement in f"{SERIES}{JOBS}{EVENTS}".split(";\n"):
            if statement.strip():
                connection.execute(text(statement), {"series": series, "images": images})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
