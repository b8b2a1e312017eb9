"""The hash of what a job measured, of whom, and in which files: it stands in the event that ends the job."""

import hashlib
import json

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Exam, Instance, Job, JobInstance, Measurement, Output, QualityFlag

RESULTS_HASH = "results_hash"
# Of jobs before there were exams nothing stands here, and their hash is as it was.
EXAM = tuple(column.name for column in Exam.__table__.columns if column.name != "job_id")


def results_hash(session: Session, job: Job) -> str:
    """Return the SHA-256 over numbers, quality flags, outputs, images with their patient, and exam, as the rows are."""
    session.flush()
    numbers = select(Measurement).where(Measurement.job_id == job.id)
    remarks = select(QualityFlag).where(QualityFlag.job_id == job.id)
    outputs = select(Output).where(Output.job_id == job.id)
    images = select(Instance).join(JobInstance, JobInstance.instance_id == Instance.id)
    rows: list[list[list[str | None]]] = [
        [[job.key, job.series_uid, job.instances_digest, job.model_digest, job.settings_digest]],
        [[m.region, m.side, m.zone, m.quantity, repr(float(m.value)), m.unit] for m in session.scalars(numbers)],
        [[f.code, f.text, None if f.value is None else repr(float(f.value))] for f in session.scalars(remarks)],
        [[o.kind.value, o.sop_uid, o.digest, o.path] for o in session.scalars(outputs)],
        [
            [i.sop_uid, i.digest, i.patient_id, i.patient_name, i.accession_number]
            for i in session.scalars(images.where(JobInstance.job_id == job.id))
        ],
    ]
    if (exam := session.get(Exam, job.id)) is not None:
        rows.append([[name, str(getattr(exam, name))] for name in EXAM])
    # Sorted here: every database has an order of texts of its own.
    ordered = [sorted(part, key=json.dumps) for part in rows]
    return hashlib.sha256(json.dumps(ordered, separators=(",", ":")).encode()).hexdigest()
