"""Jobs: opened once per instance set, claimed under a lease, fenced by the attempt."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from db.errors import ClaimLost, UnknownSubject
from db.states import JobState
from db.tables import Instance, Job, JobInstance, Series
from db.tracking.events import Change, append, begin, lock_series, move
from db.tracking.seal import RESULTS_HASH, results_hash
from db.tracking.statements import write_all

WHO = "dicom_node"


@dataclass(frozen=True)
class JobIdentity:
    """What, beside the images, decides the numbers of a job."""

    model_digest: str
    settings_digest: str


@dataclass(frozen=True)
class ImageSet:
    """The images that a job is for: ``digest`` over their UIDs and bytes, ``instance_ids`` their rows."""

    series_uid: str
    digest: str
    instance_ids: tuple[int, ...]
    patient_id: str | None
    accession_number: str | None

    def job_key(self, identity: JobIdentity) -> str:
        """Return the key of their job under an identity."""
        return _digest(self.series_uid, self.digest, identity.model_digest, identity.settings_digest)


@dataclass(frozen=True)
class ClaimedFile:
    """One image of a claimed job: its path, and the digest that it had when it came."""

    path: str
    sop_uid: str
    digest: str


@dataclass(frozen=True)
class Claim:
    """The right to run a job until the lease ends. ``attempt`` fences every later write."""

    job_id: int
    attempt: int
    key: str
    identity: JobIdentity
    series_uid: str
    created_at: datetime
    files: tuple[ClaimedFile, ...]
    who: str
    lease_s: float


def open_job(session: Session, series_uid: str, identity: JobIdentity, now: datetime) -> int:
    """Return the job for the current images of a series; open it where there is none, superseding older ones.

    A job that was superseded, and whose images are the current ones again, is queued again.

    Raises
    ------
    UnknownSubject
        No such series.
    """
    lock_series(session, series_uid)
    images = current_images(session, series_uid)
    older = _current_job(session, series_uid)
    existing = session.scalar(select(Job).where(Job.key == images.job_key(identity)))
    if existing is not None and (older is None or older.instances_digest == images.digest):
        return existing.id
    return place_job(session, images, identity, older, Change(WHO, now, "newer_images")).id


def current_images(session: Session, series_uid: str) -> ImageSet:
    """Return the images of a series that are current and in the spool."""
    instances = session.scalars(
        select(Instance)
        .where(Instance.series_uid == series_uid, Instance.replaced_at.is_(None), Instance.removed_at.is_(None))
        .order_by(Instance.sop_uid)
    ).all()
    return ImageSet(
        series_uid=series_uid,
        digest=_digest(*(f"{i.sop_uid} {i.digest}" for i in instances)),
        instance_ids=tuple(i.id for i in instances),
        patient_id=min((i.patient_id for i in instances), default=None),
        accession_number=min((i.accession_number for i in instances), default=None),
    )


def place_job(session: Session, images: ImageSet, identity: JobIdentity, older: Job | None, change: Change) -> Job:
    """Queue the job of an image set, opened or, where it was superseded once, again; it supersedes ``older``.

    ``change`` has the code under which ``older`` is superseded.
    """
    key = images.job_key(identity)
    known = session.scalar(select(Job).where(Job.key == key))
    job = known or _new_job(key, images, identity, change.now)
    job.supersedes_id = older.id if older is not None else job.supersedes_id
    if known is None:
        begin(session, job, Change(change.who, change.now, detail={"instances": len(images.instance_ids)}))
        write_all(session, JobInstance, [{"job_id": job.id, "instance_id": one} for one in images.instance_ids])
    else:
        queue_again(session, job, change)
    if older is not None:
        move(session, older, JobState.SUPERSEDED, replace(change, detail={"by_job": job.id}))
    return job


def _new_job(key: str, images: ImageSet, identity: JobIdentity, now: datetime) -> Job:
    return Job(
        key=key,
        series_uid=images.series_uid,
        instances_digest=images.digest,
        model_digest=identity.model_digest,
        settings_digest=identity.settings_digest,
        state=JobState.QUEUED,
        attempt=0,
        attempts_forgiven=0,
        due_at=now,
        detail={},
        created_at=now,
        updated_at=now,
        patient_id=images.patient_id,
        accession_number=images.accession_number,
        images=len(images.instance_ids) or None,
    )


def queue_again(session: Session, job: Job, change: Change) -> None:
    """Queue a job that stopped, with all its attempts before it again."""
    job.attempts_forgiven, job.due_at, job.notified_at, job.updated_at = job.attempt, change.now, None, change.now
    move(session, job, JobState.QUEUED, change)


def _current_job(session: Session, series_uid: str) -> Job | None:
    return session.scalars(
        select(Job).where(Job.series_uid == series_uid, Job.state != JobState.SUPERSEDED).order_by(Job.id.desc())
    ).first()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def claimable(now: datetime) -> ColumnElement[bool]:
    """Whether a job may be claimed: it is queued and due, or its lease ended."""
    return or_(
        and_(Job.state == JobState.QUEUED, Job.due_at <= now),
        and_(Job.state == JobState.RUNNING, Job.lease_until <= now),
    )


@dataclass(frozen=True)
class LeaseTerms:
    """How long a claim holds without being renewed, and how many claims a job gets before it rests as failed."""

    lease_s: float
    max_attempts: int


def claim(session: Session, job_id: int, who: str, terms: LeaseTerms, now: datetime) -> Claim | None:
    """Claim a job; None where it is already claimed, finished, not due, or out of attempts.

    A job whose workers die again and again becomes ``failed`` after ``max_attempts`` claims.
    """
    job = locked_job(session, job_id)
    if not session.scalar(select(Job.id).where(Job.id == job_id, claimable(now))):
        return None
    if job.state == JobState.RUNNING:
        _give_up_lease(session, job, terms, Change(who, now, "lease_expired", {"attempt": job.attempt}))
    if job.state == JobState.FAILED:
        return None
    return start_attempt(session, job, who, terms.lease_s, now)


def start_attempt(session: Session, job: Job, who: str, lease_s: float, now: datetime) -> Claim:
    """Give a queued job to ``who`` for ``lease_s`` seconds."""
    job.attempt += 1
    job.lease_until = now + timedelta(seconds=lease_s)
    job.updated_at, job.code, job.reason = now, None, None
    move(session, job, JobState.RUNNING, Change(who, now, detail={"attempt": job.attempt}))
    return Claim(
        job_id=job.id,
        attempt=job.attempt,
        key=job.key,
        identity=JobIdentity(job.model_digest, job.settings_digest),
        series_uid=job.series_uid,
        created_at=job.created_at,
        files=_files(session, job.id),
        who=who,
        lease_s=lease_s,
    )


def _give_up_lease(session: Session, job: Job, terms: LeaseTerms, change: Change) -> None:
    if job.attempt - job.attempts_forgiven < terms.max_attempts:
        move(session, job, JobState.QUEUED, change)
        return
    job.code, job.updated_at = "attempts_exhausted", change.now
    job.reason = f"{terms.max_attempts} attempts ended without a result; look at the worker's log, then retry the job"
    move(session, job, JobState.FAILED, Change(change.who, change.now, job.code, change.detail))


def _files(session: Session, job_id: int) -> tuple[ClaimedFile, ...]:
    rows = session.execute(
        select(Instance.path, Instance.sop_uid, Instance.digest)
        .join(JobInstance, JobInstance.instance_id == Instance.id)
        .where(JobInstance.job_id == job_id)
        .order_by(Instance.sop_uid)
    )
    return tuple(ClaimedFile(*row) for row in rows)


def locked_job(session: Session, job_id: int) -> Job:
    """Return a job as it is now, under its series' lock. Raises UnknownSubject where there is none."""
    series_uid = session.scalar(select(Job.series_uid).where(Job.id == job_id))
    if series_uid is None:
        raise UnknownSubject(f"no job {job_id} is tracked")
    lock_series(session, series_uid)
    return session.get_one(Job, job_id, populate_existing=True)


def fenced(session: Session, held: Claim) -> Job:
    """Return the job under its series' lock. Raises ClaimLost where someone else has it."""
    job = locked_job(session, held.job_id)
    if job.state != JobState.RUNNING or job.attempt != held.attempt:
        raise ClaimLost(f"job {job.id} is {job.state} at attempt {job.attempt}, this claim was attempt {held.attempt}")
    return job


def renew(session: Session, held: Claim, now: datetime) -> None:
    """Extend the lease. Raises ClaimLost where someone else has the job."""
    fenced(session, held).lease_until = now + timedelta(seconds=held.lease_s)


def enter_stage(session: Session, held: Claim, stage: str, now: datetime) -> None:
    """Note which stage of the pipeline begins. Raises ClaimLost where someone else has the job."""
    job = fenced(session, held)
    job.stage, job.updated_at = stage, now
    append(session, job, (JobState.RUNNING, JobState.RUNNING), Change(held.who, now, "stage", {"stage": stage}))


def hand_back(session: Session, held: Claim, failure: "Failure", terms: LeaseTerms, now: datetime) -> None:
    """Queue the job again after a passing failure; out of attempts it is ``failed`` with the failure's code."""
    job = fenced(session, held)
    if job.attempt - job.attempts_forgiven >= terms.max_attempts:
        finish(session, held, JobState.FAILED, failure, now)
        return
    job.code, job.reason, job.updated_at = failure.code, failure.reason, now
    job.due_at = now + timedelta(seconds=terms.lease_s)
    move(session, job, JobState.QUEUED, Change(held.who, now, failure.code, failure.detail))


@dataclass(frozen=True)
class Failure:
    """Why a job did not end well: stable code, one sentence, the numbers."""

    code: str
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)


def finish(session: Session, held: Claim, state: str, failure: Failure, now: datetime) -> None:
    """End a job as ``rejected`` or ``failed``. Raises ClaimLost where someone else has the job."""
    job = fenced(session, held)
    job.code, job.reason, job.detail, job.updated_at = failure.code, failure.reason, failure.detail, now
    detail = failure.detail | {RESULTS_HASH: results_hash(session, job)}
    move(session, job, state, Change(held.who, now, failure.code, detail))


def current_series_job(session: Session, series_uid: str) -> Job | None:
    """Return the newest job of a series that none supersedes, None where there is none."""
    if session.get(Series, series_uid) is None:
        return None
    return _current_job(session, series_uid)
