"""Proofs: does the archive have what it was sent? Its commitment, or its answer to a query, says so."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.address import ApplicationEntity
from db.commitment import CommitmentReport
from db.errors import BadAddress
from db.states import DeliveryState, JobState
from db.tables import Delivery, Job
from db.tracking.deliveries import PROVABLE, DueDelivery, close_job, lock_job, locked, of_destination
from db.tracking.events import Change, append, move

COMMITMENT, QUERY = "commitment", "query"
# Failure Reasons of single instances (PS3.3 C.14.1.1).
NO_SUCH_INSTANCE, CLASS_INSTANCE_CONFLICT = 0x0112, 0x0119
MOST_RESENT = 5


@dataclass(frozen=True)
class SentObject:
    """One object that was sent and is to be proven. ``tries`` count since it was sent, this one included."""

    delivery_id: int
    sop_uid: str
    path: str
    tries: int
    sent_at: datetime


def unproven(session: Session, due: DueDelivery, lease_s: float, now: datetime) -> tuple[SentObject, ...]:
    """Take the objects to be proven to one destination; no other worker gets them for ``lease_s`` seconds."""
    job = lock_job(session, due.job_id)
    if job.state not in PROVABLE:
        return ()
    rows = of_destination(session, due, Delivery.state == DeliveryState.SENT, Delivery.proof_due_at <= now)
    for row in rows:
        row.proof_tries += 1
        row.proof_due_at = now + timedelta(seconds=lease_s)
    return tuple(
        SentObject(row.id, row.output.sop_uid or "", row.output.path, row.proof_tries, row.sent_at or now)
        for row in rows
    )


def commitment_asked(session: Session, delivery_ids: Collection[int], transaction_uid: str, due_at: datetime) -> None:
    """Note a request before it is sent; without a report until ``due_at`` a proof is sought again."""
    for delivery_id in delivery_ids:
        delivery, _ = locked(session, delivery_id)
        if delivery.state == DeliveryState.SENT:
            delivery.transaction_uid, delivery.proof_due_at = transaction_uid, due_at
            delivery.notified_at = None


def reported(session: Session, report: CommitmentReport, change: Change) -> int:
    """Note what an archive reports on a request of ours, and return for how many objects.

    One that it has not kept is sent again. Of any other failure nothing follows: a proof is sought again when due.
    """
    rows = session.scalars(select(Delivery).where(Delivery.transaction_uid == report.transaction_uid)).all()
    failures = {one.sop_uid: one.failure for one in report.outcomes}
    noted = 0
    for row in rows:
        locked(session, row.id)
        is_open = row.state == DeliveryState.SENT and row.transaction_uid == report.transaction_uid
        if not is_open or not _is_of(row.destination, report.archive_ae) or row.output.sop_uid not in failures:
            continue
        _report(session, row, failures[row.output.sop_uid], change)
        noted += 1
    return noted


def _is_of(destination: str, archive_ae: str) -> bool:
    try:
        return ApplicationEntity.parse_url(destination).ae_title.strip() == archive_ae.strip()
    except BadAddress:
        return False


def _report(session: Session, delivery: Delivery, failure: int | None, change: Change) -> None:
    if failure is None:
        proven(session, delivery.id, COMMITMENT, change)
        return
    detail = {"failure_reason": failure}
    if failure == NO_SUCH_INSTANCE:
        missing(session, delivery.id, Change(change.who, change.now, "not_kept", detail))
    elif failure == CLASS_INSTANCE_CONFLICT:
        reason = "the archive has another object under its UID"
        _fail(session, delivery.id, reason, Change(change.who, change.now, "class_conflict", detail))
    else:
        delivery.code, delivery.reason = "commitment_failed", f"no commitment was given (0x{failure:04X})"
        delivery.transaction_uid, delivery.proof_due_at, delivery.notified_at = None, change.now, None
        noted = Change(change.who, change.now, "commitment_failed", detail)
        append(session, delivery, (DeliveryState.SENT, DeliveryState.SENT), noted)


def proven(session: Session, delivery_id: int, proof: str, change: Change) -> None:
    """Note that the archive has the object: by :data:`COMMITMENT` or :data:`QUERY`."""
    delivery, _ = locked(session, delivery_id)
    if delivery.state != DeliveryState.SENT:
        return
    _end_proof(delivery)
    delivery.proof, delivery.committed_at, delivery.code, delivery.reason = proof, change.now, None, None
    move(session, delivery, DeliveryState.COMMITTED, Change(change.who, change.now, proof))


def missing(session: Session, delivery_id: int, change: Change) -> None:
    """Have an object sent again that the archive does not have; after several times it is a dead letter."""
    delivery, job = locked(session, delivery_id)
    if delivery.state != DeliveryState.SENT:
        return
    # Of a job that failed nothing is sent any more, unless an operator retries it with its dead letters.
    if delivery.resent >= MOST_RESENT or job.state == JobState.FAILED:
        _fail(session, delivery_id, f"the archive took it {delivery.resent + 1} times and does not have it", change)
        return
    _end_proof(delivery)
    delivery.resent, delivery.attempts, delivery.sent_at = delivery.resent + 1, 0, None
    delivery.retried_at, delivery.due_at, delivery.notified_at = change.now, change.now, None
    delivery.code, delivery.reason = None, "the archive does not have what it took"
    move(session, delivery, DeliveryState.PENDING, change)
    _open_again(session, job, change)


def prove_later(session: Session, delivery_id: int, reason: str, due_at: datetime, code: str) -> None:
    """Note why there is no proof yet; it is sought again at ``due_at``."""
    delivery, _ = locked(session, delivery_id)
    if delivery.state == DeliveryState.SENT:
        delivery.code, delivery.reason = code, reason
        delivery.proof_due_at, delivery.notified_at = due_at, None


def unprovable(session: Session, delivery_id: int, reason: str, change: Change) -> None:
    """Note that no proof can be had: the object stays ``sent``, not proven."""
    delivery, _ = locked(session, delivery_id)
    if delivery.state != DeliveryState.SENT:
        return
    _end_proof(delivery)
    delivery.code, delivery.reason = "not_proven", reason
    noted = Change(change.who, change.now, "not_proven", change.detail | {"why": change.code})
    append(session, delivery, (DeliveryState.SENT, DeliveryState.SENT), noted)


def _fail(session: Session, delivery_id: int, reason: str, change: Change) -> None:
    delivery, job = locked(session, delivery_id)
    _end_proof(delivery)
    delivery.code, delivery.reason, delivery.sent_at = change.code, reason, None
    move(session, delivery, DeliveryState.FAILED, change)
    _open_again(session, job, change)
    close_job(session, job, change)


def _end_proof(delivery: Delivery) -> None:
    delivery.transaction_uid, delivery.proof_due_at = None, None


def _open_again(session: Session, job: Job, change: Change) -> None:
    if job.state == JobState.DELIVERED:
        job.updated_at = change.now
        move(session, job, JobState.ENCODED, Change(change.who, change.now, change.code))
