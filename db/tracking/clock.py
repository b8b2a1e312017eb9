"""After the clock was set back: rows whose times lie ahead would wait until it has caught up."""

from datetime import datetime

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from db.states import DeliveryState, JobState, SeriesState
from db.tables import Delivery, Job, Series


def forget_the_future(session: Session, now: datetime) -> None:
    """Let what was noted at times later than ``now`` count as noted now, where something waits for it.

    Pauses that were set by the old clock end at once; what was received, done or sent keeps its recorded time.
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
        .where(Delivery.state == DeliveryState.PENDING, or_(Delivery.notified_at > now, Delivery.created_at > now))
        .values(due_at=now, notified_at=None)
    )
