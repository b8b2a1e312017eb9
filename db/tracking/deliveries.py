"""Deliveries: one object on its way to one destination, its schedule kept in the row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.errors import ProfileNotMade
from db.states import DELIVERED_KINDS, DeliveryState, JobState, OutputKind
from db.tables import Delivery, Job, Output
from db.tracking.events import Change, append, begin, lock_series, move
from db.tracking.statements import written_out

# Nobody asks any more for what a newer result supersedes.
PROVABLE = (JobState.ENCODED, JobState.DELIVERED, JobState.FAILED)
TAKEN = (DeliveryState.SENT, DeliveryState.COMMITTED)
# These show what SEG and SR say: an archive that takes those and not the class of these has the result.
REPEATING = (OutputKind.PAGE, OutputKind.PDF, OutputKind.KEY_IMAGES)


class Recipient(NamedTuple):
    """A destination, the kinds of objects that it gets, and of kinds that are made in several ways the role of its own.

    A kind without a role among roles is none of its, unless there are no roles at all.
    """

    destination: str
    kinds: Collection[str] = DELIVERED_KINDS
    roles: Mapping[str, str] = MappingProxyType({})

    def gets(self, output: Output) -> bool:
        """Whether an object is for it."""
        if output.kind not in self.kinds:
            return False
        return output.role is None or not self.roles or self.roles.get(output.kind) == output.role


@dataclass(frozen=True)
class DueDelivery:
    """The work of one delivery task: the objects of a job that are still to be sent to one destination."""

    job_id: int
    destination: str


@dataclass(frozen=True)
class PendingObject:
    """One object to send now.

    ``waiting_since`` is when its delivery was opened, or when an operator last retried it; ``attempts``, which include
    this one, count from then on. ``resent`` counts how often the archive did not have it after all.
    """

    delivery_id: int
    sop_uid: str
    path: str
    digest: str
    attempts: int
    waiting_since: datetime
    resent: int = 0


def open_deliveries(session: Session, job: Job, recipients: Sequence[Recipient], change: Change) -> None:
    """Make the DICOM objects of a job pending for those who get them; one that failed is pending again.

    What was made for a destination is what it gets, whatever its profile has become since. Raises ProfileNotMade where
    nothing of the profile of a destination was made.
    """
    outputs = session.scalars(
        select(Output).where(Output.job_id == job.id, Output.kind.in_(DELIVERED_KINDS)).order_by(Output.id)
    ).all()
    known = {
        (d.output_id, d.destination): d for d in session.scalars(select(Delivery).where(Delivery.job_id == job.id))
    }
    wanted = {one.destination: _wanted(outputs, one, known.keys()) for one in recipients}
    for output in outputs:
        for destination in (one.destination for one in recipients if output.id in wanted[one.destination]):
            delivery = known.get((output.id, destination))
            if delivery is None:
                begin(session, _pending(job.id, output.id, destination, change.now), change)
            elif delivery.state == DeliveryState.FAILED:
                delivery.due_at, delivery.notified_at = change.now, None
                delivery.retried_at, delivery.attempts = change.now, 0
                move(session, delivery, DeliveryState.PENDING, change)
    close_job(session, job, change)


def _wanted(outputs: Sequence[Output], recipient: Recipient, known: Collection[tuple[int, str]]) -> set[int]:
    """Return which outputs a destination gets: those of its profile, or what was made for it while it had another."""
    before = {one.id for one in outputs if (one.id, recipient.destination) in known}
    others = [one for one in outputs if one.id in before and one.kind in recipient.kinds and not recipient.gets(one)]
    if others:
        return {one.id for one in outputs if one.id in before or (one.role is None and recipient.gets(one))}
    wanted = [one for one in outputs if recipient.gets(one)]
    lacking = {one.kind for one in outputs if one.kind in recipient.kinds} - {one.kind for one in wanted}
    if lacking & recipient.roles.keys():
        raise ProfileNotMade(f"what {recipient.destination} wants now was not made of this job: recompute it")
    return {one.id for one in wanted}


def _pending(job_id: int, output_id: int, destination: str, now: datetime) -> Delivery:
    return Delivery(
        job_id=job_id,
        output_id=output_id,
        destination=destination,
        state=DeliveryState.PENDING,
        attempts=0,
        due_at=now,
        created_at=now,
    )


def pending(session: Session, due: DueDelivery, lease_s: float, now: datetime) -> tuple[PendingObject, ...]:
    """Take the objects that are due for one destination; no other worker gets them for ``lease_s`` seconds."""
    job = lock_job(session, due.job_id)
    if job.state != JobState.ENCODED:
        return ()
    rows = of_destination(session, due, Delivery.state == DeliveryState.PENDING, Delivery.due_at <= now)
    for row in rows:
        row.attempts += 1
        row.code = None
        row.due_at = now + timedelta(seconds=lease_s)
    return tuple(_pending_object(row) for row in rows)


def of_destination(session: Session, due: DueDelivery, *conditions: ColumnElement[bool]) -> Sequence[Delivery]:
    """Return the deliveries of a job to one destination that meet the conditions, in their order."""
    ours = (Delivery.job_id == due.job_id, Delivery.destination == due.destination)
    return session.scalars(select(Delivery).where(*ours, *conditions).order_by(Delivery.id)).all()


def _pending_object(row: Delivery) -> PendingObject:
    return PendingObject(
        delivery_id=row.id,
        sop_uid=row.output.sop_uid or "",
        path=row.output.path,
        digest=row.output.digest,
        attempts=row.attempts,
        waiting_since=row.retried_at or row.created_at,
        resent=row.resent,
    )


def delivered(
    session: Session, delivery_id: int, status: int, change: Change, prove_at: datetime | None = None
) -> None:
    """Note that the destination took the object; the job becomes ``delivered`` when nothing is left to send.

    From ``prove_at`` on a proof is sought that the destination has it; without it none is.
    """
    delivery, job = locked(session, delivery_id)
    if delivery.state != DeliveryState.PENDING:
        return
    delivery.status, delivery.code, delivery.reason, delivery.sent_at = status, None, None, change.now
    delivery.proof_tries, delivery.proof_due_at = 0, prove_at
    if prove_at is not None:
        # Who sends goes on to seek the proof that is due at once.
        delivery.notified_at = change.now if prove_at <= change.now else None
    move(session, delivery, DeliveryState.SENT, change)
    close_job(session, job, change)


def postpone(session: Session, delivery_id: int, reason: str, due_at: datetime, change: Change) -> None:
    """Note a passing failure; the object is due again at ``due_at``."""
    delivery, _ = locked(session, delivery_id)
    if delivery.state != DeliveryState.PENDING:
        return
    delivery.code, delivery.reason, delivery.due_at = change.code, reason, due_at
    delivery.status = change.detail.get("status")
    append(session, delivery, (DeliveryState.PENDING, DeliveryState.PENDING), change)


def reached(session: Session, destination: str, now: datetime) -> int:
    """Make due at once what waits because a destination could not be reached; return how many objects that are.

    For a destination that has just taken an object: after a long absence the pauses are long. What it did answer to,
    with a status, keeps its pause. Rows that somebody else has at the moment are left out.
    """
    waiting = select(Delivery).where(
        Delivery.destination == destination,
        Delivery.state == written_out(DeliveryState.PENDING),
        Delivery.due_at > now,
        Delivery.code.is_not(None),
        Delivery.status.is_(None),
    )
    rows = session.scalars(waiting.with_for_update(skip_locked=True)).all()
    for row in rows:
        row.due_at, row.notified_at = now, None
    return len(rows)


def refuse(session: Session, delivery_id: int, reason: str, status: int | None, change: Change) -> None:
    """Note that the destination refused the object permanently, or that the time for trying is over."""
    delivery, job = locked(session, delivery_id)
    if delivery.state != DeliveryState.PENDING:
        return
    delivery.code, delivery.reason, delivery.status = change.code, reason, status
    move(session, delivery, DeliveryState.FAILED, change)
    close_job(session, job, change)


def lock_job(session: Session, job_id: int) -> Job:
    """Return a job as it is now, with the lock of its series."""
    job = session.get_one(Job, job_id)
    lock_series(session, job.series_uid)
    session.refresh(job)
    return job


def locked(session: Session, delivery_id: int) -> tuple[Delivery, Job]:
    """Return a delivery and its job as they are now, with the lock of their series."""
    delivery = session.get_one(Delivery, delivery_id)
    job = lock_job(session, delivery.job_id)
    session.refresh(delivery)
    return delivery, job


def close_job(session: Session, job: Job, change: Change) -> None:
    """End a job of which nothing is left to be sent."""
    session.flush()
    rows = session.scalars(select(Delivery).where(Delivery.job_id == job.id).order_by(Delivery.id)).all()
    if job.state != JobState.ENCODED or not rows or any(row.state == DeliveryState.PENDING for row in rows):
        return
    job.updated_at = change.now
    failed = _that_fail_their_job(rows)
    if not failed:
        move(session, job, JobState.DELIVERED, Change(change.who, change.now))
        return
    why = dict.fromkeys(f"{row.destination}: {row.reason}" for row in failed)
    job.code, job.reason = "delivery_failed", f"not delivered to {'; '.join(why)}"
    move(session, job, JobState.FAILED, Change(change.who, change.now, job.code))


def _that_fail_their_job(rows: Sequence[Delivery]) -> list[Delivery]:
    """Return the dead letters, but for what only repeats the result, where its destination took another object."""
    has_result = {row.destination for row in rows if row.state in TAKEN}
    return [
        row
        for row in rows
        if row.state == DeliveryState.FAILED and (row.output.kind not in REPEATING or row.destination not in has_result)
    ]
