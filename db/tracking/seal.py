"""The hash of what a job measured, of whom, and in which files: it stands in the event that ends the job."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from db.finding_tables import Exam, Measurement, QualityFlag
from db.tables import Instance, Job, JobInstance, Output

RESULTS_HASH = "results_hash"
# Of jobs before there were exams nothing stands here, and their hash is as it was.
EXAM = tuple(column.name for column in Exam.__table__.columns if column.name != "job_id")
Rows = Sequence[Row[Any]]


@dataclass(frozen=True)
class ResultRows:
    """The rows of one job's result; ``images`` are those that it measured."""

    measurements: Rows
    flags: Rows
    outputs: Rows
    images: Rows
    exam: Row[Any] | None

    def __bool__(self) -> bool:
        """Whether there is any result."""
        return bool(self.measurements or self.flags or self.outputs or self.exam)


def results_hash(session: Session, job: Job) -> str:
    """Return the hash over the result of a job, as the rows are."""
    session.flush()
    return hash_of_results(job, _read(session, job.id))


def _read(session: Session, job_id: int) -> ResultRows:
    tables = (Measurement, QualityFlag, Output, Exam)
    numbers, flags, outputs, exams = (
        session.execute(select(table.__table__).where(table.job_id == job_id)).all() for table in tables
    )
    images = select(Instance.__table__).join(JobInstance, JobInstance.instance_id == Instance.id)
    measured = session.execute(images.where(JobInstance.job_id == job_id)).all()
    return ResultRows(numbers, flags, outputs, measured, exams[0] if exams else None)


def hash_of_results(job: Job | Row[Any], of: ResultRows) -> str:
    """Return the SHA-256 over numbers, quality flags, outputs, images with their patient, and exam."""
    rows: list[list[list[str | None]]] = [
        [[job.key, job.series_uid, job.instances_digest, job.model_digest, job.settings_digest]],
        [[m.region, m.side, m.zone, m.quantity, repr(float(m.value)), m.unit] for m in of.measurements],
        [[f.code, f.text, None if f.value is None else repr(float(f.value))] for f in of.flags],
        [[o.kind.value, o.sop_uid, o.digest, o.path, *([o.role] if o.role else [])] for o in of.outputs],
        [[i.sop_uid, i.digest, i.patient_id, i.patient_name, i.accession_number] for i in of.images],
    ]
    if of.exam is not None:
        rows.append([[name, str(getattr(of.exam, name))] for name in EXAM])
    # Sorted here: every database has an order of texts of its own.
    ordered = [sorted(part, key=json.dumps) for part in rows]
    return hashlib.sha256(json.dumps(ordered, separators=(",", ":")).encode()).hexdigest()
