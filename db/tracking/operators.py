"""The operator's commands on a job that has stopped: release, discard, recompute, retry."""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import PurePath

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from db.errors import IllegalTransition
from db.finding_tables import Exam, Measurement, QualityFlag
from db.states import DeliveryState, JobState
from db.tables import Delivery, Instance, Job, JobInstance, Output
from db.tracking.deliveries import Recipient, open_deliveries
from db.tracking.events import Change, append, move
from db.tracking.jobs import locked_job, queue_again

UNSENT = (DeliveryState.PENDING, DeliveryState.FAILED)
BRING_BACK = "`scleroscan fetch` brings home what has a copy in the object store; else send them again"


def release(session: Session, job_id: int, recipients: Sequence[Recipient], who: str, now: datetime) -> int:
    """Queue the stored objects of a job in review for delivery, and return how many are to be sent.

    Raises
    ------
    UnknownSubject
        No such job.
    IllegalTransition
        The job is not in ``review``.
    """
    job = _stopped(session, job_id, "released", {JobState.REVIEW})
    job.updated_at = now
    move(session, job, JobState.ENCODED, Change(who, now, "released"))
    open_deliveries(session, job, recipients, Change(who, now, "released"))
    return len(_unsent(session, job_id))


def discard(session: Session, job_id: int, who: str, now: datetime) -> None:
    """End a job that is in review or failed for good: its results are kept, and nothing is sent.

    Raises UnknownSubject and IllegalTransition as :func:`release` does.
    """
    job = _stopped(session, job_id, "discarded", {JobState.REVIEW, JobState.FAILED})
    job.updated_at = now
    move(session, job, JobState.DISCARDED, Change(who, now, "discarded"))


def recompute(session: Session, job_id: int, who: str, now: datetime) -> None:
    """Queue a job that failed, was rejected or is in review, to be computed without any results of earlier attempts.

    The digests of its earlier files stand in the event. Raises UnknownSubject and IllegalTransition as
    :func:`release` does, the latter also where images of it have left the spool.
    """
    job = _stopped(session, job_id, "recomputed", {JobState.FAILED, JobState.REVIEW, JobState.REJECTED})
    _require_images(session, job_id)
    outputs = session.scalars(select(Output).where(Output.job_id == job_id).order_by(Output.id)).all()
    left = {PurePath(output.path).name: output.digest for output in outputs}
    sent = list(session.scalars(select(Delivery.id).where(Delivery.job_id == job_id).order_by(Delivery.id)))
    for table in (Delivery, Output, Measurement, QualityFlag, Exam):
        session.execute(delete(table).where(table.job_id == job_id))
    # Copies of files that are made anew count no more.
    job.stored_as = None
    queue_again(session, job, Change(who, now, "recomputed", {"outputs": left, "deliveries": sent}))


def retry(session: Session, job_id: int, who: str, now: datetime) -> int:
    """Queue a failed job again, or make the deliveries of a job that are not done due at once.

    Results already encoded are sent, not made anew. Returns how many deliveries became due, 0 where the job was queued.
    Raises UnknownSubject and IllegalTransition as :func:`release` does.
    """
    job = locked_job(session, job_id)
    change = Change(who, now, "retried")
    if job.state == JobState.FAILED:
        if session.scalar(select(Output.id).where(Output.job_id == job_id).limit(1)) is None:
            _require_images(session, job_id)
        queue_again(session, job, change)
        return 0
    unsent = _unsent(session, job_id) if job.state in (JobState.ENCODED, JobState.DELIVERED) else []
    if not unsent:
        raise IllegalTransition(_refusal(job, "retried", {JobState.FAILED}))
    if job.state == JobState.DELIVERED:
        # Of a job that is done, a page that was refused may still be a dead letter.
        job.updated_at = now
        move(session, job, JobState.ENCODED, change)
    for delivery in unsent:
        delivery.due_at, delivery.notified_at = now, None
        delivery.retried_at, delivery.attempts = now, 0
        if delivery.state == DeliveryState.FAILED:
            move(session, delivery, DeliveryState.PENDING, change)
        else:
            append(session, delivery, (DeliveryState.PENDING, DeliveryState.PENDING), change)
    return len(unsent)


def _stopped(session: Session, job_id: int, verb: str, states: Collection[JobState]) -> Job:
    job = locked_job(session, job_id)
    if job.state not in states:
        raise IllegalTransition(_refusal(job, verb, states))
    return job


def _refusal(job: Job, verb: str, states: Collection[JobState]) -> str:
    wanted = " or ".join(sorted(states))
    instead = ": release, discard or recompute it" if job.state == JobState.REVIEW else ""
    return f"job {job.id} is {job.state}{instead}; only a job that is {wanted} can be {verb}"


def _require_images(session: Session, job_id: int) -> None:
    gone = select(Instance.id).join(JobInstance, JobInstance.instance_id == Instance.id).limit(1)
    gone = gone.where(JobInstance.job_id == job_id, Instance.removed_at.is_not(None))
    if session.scalar(gone) is not None:
        raise IllegalTransition(f"images of job {job_id} have left the spool after their time: {BRING_BACK}")


def _unsent(session: Session, job_id: int) -> list[Delivery]:
    rows = select(Delivery).where(Delivery.job_id == job_id, Delivery.state.in_(UNSENT)).order_by(Delivery.id)
    return list(session.scalars(rows))
