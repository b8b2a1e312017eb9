"""Corrects rows after the clock was set back, because rows whose times lie ahead would wait until it has caught up."""

from datetime import datetime

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from db.states import DeliveryState, JobState, SeriesState
from db.tables import Delivery, Job, Series


def forget_the_future(session: Session, now: datetime) -> None:
    """Set times later than ``now`` to now in the rows of open series, queued jobs and pending deliveries.

    Pauses that were set by the old clock so end at once. The times of finished work stay as they were recorded.
    """
    session.execute(
        update(Series)
        .where(Series.state == SeriesState.RECEIVING, Series.last_arrival_at > now)
        .values(last_arrival_at=now)
    )
    session.execute(
        update(Job)
        .where(Job.state == JobState.QUEUED, or_(Job.notified_at > now, Job.updated_at > now))
        .values(due_at=now, notified_at=None)
    )
    session.execute(
        update(Delivery)
        .where(Delivery.proof_due_at.is_not(None), or_(Delivery.notified_at > now, Delivery.sent_at > now))
        .values(proof_due_at=now, notified_at=None)
    )
    session.execute(
        update(Delivery)
        .where(Delivery.state == DeliveryState.PENDING, or_(Delivery.notified_at > now, Delivery.created_at > now))
        .values(due_at=now, notified_at=None)
    )
