"""Records the results of a job: numbers, quality flags and files, and opens the deliveries that follow."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.finding_tables import Exam, Measurement, QualityFlag
from db.states import JobState, OutputKind
from db.tables import Job, Output
from db.tracking.deliveries import Recipient, open_deliveries
from db.tracking.events import Change, move
from db.tracking.exams import ExamRow
from db.tracking.jobs import Claim, Failure, fenced, finish
from db.tracking.seal import RESULTS_HASH, results_hash
from db.tracking.statements import write_all


@dataclass(frozen=True)
class OutputFile:
    """A written file: ``kind`` is a :class:`db.states.OutputKind`; ``sop_uid`` None for a picture.

    ``role`` tells several of a kind apart; None where whoever gets the kind gets it.
    """

    kind: str
    path: str
    digest: str
    sop_uid: str | None = None
    role: str | None = None


@dataclass(frozen=True)
class MeasurementRow:
    """One number of a job: its region, side and zone, the quantity measured, and its unit in UCUM."""

    region: str
    side: str
    zone: str
    quantity: str
    value: float
    unit: str


@dataclass(frozen=True)
class FlagRow:
    """One quality flag of a job: stable code, one sentence, the number behind it."""

    code: str
    text: str
    value: float | None


@dataclass(frozen=True)
class JobResults:
    """All results of a job."""

    measurements: tuple[MeasurementRow, ...]
    flags: tuple[FlagRow, ...]
    outputs: tuple[OutputFile, ...]
    exam: ExamRow | None = None


def record_results(
    session: Session, held: Claim, results: JobResults, recipients: Sequence[Recipient], now: datetime
) -> None:
    """Keep numbers and files; the job is ``encoded`` and each object pending for those who get it.

    Raises ClaimLost where someone else has the job.
    """
    job = fenced(session, held)
    _keep(session, job, results, now)
    job.updated_at = now
    detail = {"outputs": len(results.outputs), RESULTS_HASH: results_hash(session, job)}
    move(session, job, JobState.ENCODED, Change(held.who, now, detail=detail))
    open_deliveries(session, job, recipients, Change(held.who, now))


def record_for_review(session: Session, held: Claim, results: JobResults, failure: Failure, now: datetime) -> None:
    """Keep numbers and files, and deliver nothing until a person decides. Raises ClaimLost as the others do."""
    _keep(session, fenced(session, held), results, now)
    finish(session, held, JobState.REVIEW, failure, now)


def _keep(session: Session, job: Job, results: JobResults, now: datetime) -> None:
    job.assessed_at = job.assessed_at or now
    write_all(session, Measurement, [{"job_id": job.id, **asdict(row)} for row in results.measurements])
    session.add_all(QualityFlag(job_id=job.id, **asdict(row)) for row in results.flags)
    session.add_all(Output(job_id=job.id, **asdict(file)) for file in results.outputs)
    if results.exam is not None:
        session.add(Exam(job_id=job.id, **asdict(results.exam)))
    session.flush()


def encoded_before(session: Session, held: Claim) -> bool:
    """Whether an earlier attempt has recorded results: its files are then sent, not made anew."""
    return session.scalar(select(Output.id).where(Output.job_id == held.job_id).limit(1)) is not None


def resume(session: Session, held: Claim, recipients: Sequence[Recipient], now: datetime) -> None:
    """Go on to delivery with the results of an earlier attempt, after an operator's retry.

    Raises ClaimLost, and ProfileNotMade as :func:`open_deliveries` does.
    """
    job = fenced(session, held)
    job.updated_at = now
    move(session, job, JobState.ENCODED, Change(held.who, now, "results_kept"))
    open_deliveries(session, job, recipients, Change(held.who, now, "retried"))


@dataclass(frozen=True)
class Predecessor:
    """A job by its key, and the roles of its reports, in their order: None where an earlier version wrote it."""

    key: str
    roles: tuple[str | None, ...] = (None,)


def predecessor(session: Session, job_id: int) -> Predecessor | None:
    """Return the newest job with a report that this job supersedes, however many lie between."""
    job = session.get_one(Job, job_id)
    # Images that come and go can make jobs supersede each other in a ring.
    passed = {job.id}
    while job.supersedes_id is not None and job.supersedes_id not in passed:
        passed.add(job.supersedes_id)
        job = session.get_one(Job, job.supersedes_id)
        reports = select(Output.role).where(Output.job_id == job.id, Output.kind == OutputKind.SR)
        if roles := tuple(session.scalars(reports.order_by(Output.id))):
            return Predecessor(job.key, roles)
    return None
