"""What the images of a job said of patient and scan, and the measured exams of one patient ID."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.finding_tables import Exam, Measurement
from db.states import JobState
from db.tables import Instance, Job, JobInstance

# Delivery has its own states: a destination that refuses makes no number wrong. What waits for review may be.
MEASURED = (JobState.ENCODED, JobState.DELIVERED, JobState.FAILED)


@dataclass(frozen=True)
class ExamRow:
    """Whom and how a series was scanned; ``acquired`` is YYYYMMDDHHMMSS or shorter, ``birth_date`` YYYYMMDD."""

    study_uid: str
    acquired: str
    patient_id: str
    issuer: str
    patient_name: str
    birth_date: str
    kernel: str
    thickness_mm: float
    contrast: bool
    position: str


@dataclass(frozen=True)
class MeasuredExam:
    """One measured exam: ``numbers`` of both whole lungs by (region, quantity)."""

    job_id: int
    series_uid: str
    model_digest: str
    exam: ExamRow
    numbers: Mapping[tuple[str, str], float]


def exams_of(session: Session, patient_id: str) -> list[MeasuredExam]:
    """Return the measured exams of everybody who has this patient ID; whose they are is for the caller to judge."""
    rows = session.execute(
        select(Exam, Job)
        .join(Job, Job.id == Exam.job_id)
        .where(Exam.patient_id == patient_id, Job.state.in_(MEASURED))
        .order_by(Exam.acquired, Exam.job_id)
    ).all()
    numbers = _numbers(session, [job.id for _, job in rows])
    return [
        MeasuredExam(job.id, job.series_uid, job.model_digest, _record(exam), numbers.get(job.id, {}))
        for exam, job in rows
    ]


def exams_beside(session: Session, job_id: int) -> list[MeasuredExam]:
    """Return the measured exams under the patient ID that the images of a job name; nothing where they name none."""
    named = select(Instance.patient_id).join(JobInstance, JobInstance.instance_id == Instance.id).distinct()
    ids = {patient_id.strip() for patient_id in session.scalars(named.where(JobInstance.job_id == job_id))}
    return exams_of(session, ids.pop()) if len(ids) == 1 and ids != {""} else []


def _record(row: Exam) -> ExamRow:
    return ExamRow(**{name: getattr(row, name) for name in ExamRow.__dataclass_fields__})


def _numbers(session: Session, job_ids: list[int]) -> dict[int, dict[tuple[str, str], float]]:
    whole = Measurement.side == "both", Measurement.zone == "whole"
    found: dict[int, dict[tuple[str, str], float]] = {}
    for m in session.scalars(select(Measurement).where(Measurement.job_id.in_(job_ids), *whole)):
        found.setdefault(m.job_id, {})[m.region, m.quantity] = m.value
    return found
