"""Images that have done their work: which may leave the spool, and that they did."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from db.states import JobState, SeriesState
from db.tables import Instance, Job, Series
from db.tracking.events import Change, append, lock_series


def removable(session: Session, before: datetime, limit: int = 100) -> Sequence[str]:
    """Return series whose images may leave the spool: closed, and every result delivered no later than ``before``.

    A series without a job, or with one that was refused, failed, or waits for a person, is never among them.
    """
    unfinished = exists().where(
        Job.series_uid == Series.uid,
        Job.state != JobState.SUPERSEDED,
        (Job.state != JobState.DELIVERED) | (Job.updated_at > before),
    )
    delivered = exists().where(Job.series_uid == Series.uid, Job.state == JobState.DELIVERED)
    present = exists().where(Instance.series_uid == Series.uid, Instance.removed_at.is_(None))
    closed = Series.state != SeriesState.RECEIVING, Series.last_arrival_at <= before
    return session.scalars(
        select(Series.uid).where(*closed, delivered, present, ~unfinished).order_by(Series.uid).limit(limit)
    ).all()


def remove(session: Session, series_uid: str, before: datetime, delete: Callable[[str], None], change: Change) -> int:
    """Delete the images of one series while nothing else may change it, note that, and return how many there were.

    ``delete`` gets each path; one that is gone already, as after a crash in here, is no error of its.
    """
    lock_series(session, series_uid)
    if series_uid not in removable(session, before):
        return 0
    series = session.get_one(Series, series_uid, populate_existing=True)
    images = session.scalars(
        select(Instance).where(Instance.series_uid == series_uid, Instance.removed_at.is_(None))
    ).all()
    for image in images:
        delete(image.path)
        image.removed_at = change.now
    noted = Change(change.who, change.now, "images_removed", {"images": len(images)})
    append(session, series, (series.state, series.state), noted)
    return len(images)
