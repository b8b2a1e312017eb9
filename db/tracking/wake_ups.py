"""Says for which work a worker is to be woken, once each time that it is due; and how much of it nobody has begun."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from db.counts import ANALYSE, DELIVER
from db.states import DeliveryState, JobState
from db.tables import Delivery, Job
from db.tracking.deliveries import PROVABLE, DueDelivery
from db.tracking.jobs import claimable
from db.tracking.statements import written_out


def due_jobs(session: Session, now: datetime) -> list[int]:
    """Return the jobs that are due since a worker was last woken for them, and note that one is woken now.

    Those are queued and due, or running under a lease that ended.
    """
    queued = Job.state == written_out(JobState.QUEUED), Job.due_at <= now, _is_new(Job.notified_at, Job.due_at)
    left = Job.state == JobState.RUNNING, Job.lease_until <= now, _is_new(Job.notified_at, Job.lease_until)
    rows = [row for due in (queued, left) for row in session.scalars(select(Job).where(*due).order_by(Job.id))]
    for row in rows:
        row.notified_at = now
    return [row.id for row in rows]


def due_deliveries(session: Session, now: datetime) -> list[DueDelivery]:
    """Return the deliveries to be sent, or to be proven, that are due since then, and note the same."""
    unsent = *_unsent(now), _is_new(Delivery.notified_at, Delivery.due_at)
    unproven = *_unproven(now), _is_new(Delivery.notified_at, Delivery.proof_due_at)
    waiting = select(Delivery).join(Job, Job.id == Delivery.job_id).order_by(Delivery.id)
    rows = [row for due in (unsent, unproven) for row in session.scalars(waiting.where(*due))]
    for row in rows:
        row.notified_at = now
    return list(dict.fromkeys(DueDelivery(row.job_id, row.destination) for row in rows))


def unanswered(session: Session, now: datetime, woken_before: datetime) -> Mapping[str, int]:
    """Return by queue how much still waits of that for which a worker was woken before a time: so many messages."""
    jobs = select(Job.id).where(claimable(now), Job.notified_at <= woken_before)
    deliveries = select(Delivery.job_id, Delivery.destination).where(Delivery.id.in_(_late(now, woken_before)))
    found = {ANALYSE: jobs, DELIVER: deliveries.distinct()}
    return {
        queue: session.scalars(select(func.count()).select_from(late.subquery())).one() for queue, late in found.items()
    }


def wake_again(session: Session, queue: str, now: datetime, woken_before: datetime) -> None:
    """Take what :func:`unanswered` counts on a queue for work for which nobody was woken yet."""
    late = (
        update(Job).where(claimable(now), Job.notified_at <= woken_before)
        if queue == ANALYSE
        else update(Delivery).where(Delivery.id.in_(_late(now, woken_before)))
    )
    session.execute(late.values(notified_at=None), execution_options={"synchronize_session": False})


def _late(now: datetime, woken_before: datetime) -> Select[Any]:
    waits = or_(and_(*_unsent(now)), and_(*_unproven(now)))
    joined = select(Delivery.id).join(Job, Job.id == Delivery.job_id)
    return joined.where(waits, Delivery.notified_at <= woken_before)


def _unsent(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return Delivery.state == written_out(DeliveryState.PENDING), Delivery.due_at <= now, Job.state == JobState.ENCODED


def _unproven(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Delivery.state == written_out(DeliveryState.SENT),
        Delivery.proof_due_at <= now,
        Job.state.in_(PROVABLE),
    )


def _is_new(notified_at: Any, due_at: Any) -> ColumnElement[bool]:
    return or_(notified_at.is_(None), notified_at < due_at)
