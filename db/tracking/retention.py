"""Says which images may leave the spool, by the outcome of their series, and notes that they were removed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Exists, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from db.finding_tables import Measurement
from db.states import JobState, SeriesState
from db.tables import Delivery, Instance, Job, JobInstance, Series
from db.tracking.events import Change, append, lock_series
from db.tracking.jobs import current_series_job

DONE = (JobState.DELIVERED, JobState.DISCARDED)
UNRESOLVED = (JobState.REJECTED, JobState.FAILED, JobState.REVIEW)


@dataclass(frozen=True)
class Retention:
    """How long images stay in the spool after the last change of their series or job.

    Attributes
    ----------
    done
        Its results were delivered, lie in the results folder where there is no destination, or were discarded.
    skipped
        A rule, or a better reconstruction, left it out.
    incomplete
        Slices are missing and no job was opened.
    unresolved
        Its job was rejected, failed, or waits for a person.
    stored
        There is an object store: no image leaves before it has a copy there.
    """

    done: timedelta
    skipped: timedelta
    incomplete: timedelta
    unresolved: timedelta
    stored: bool = False


def removable(session: Session, retention: Retention, now: datetime, limit: int = 100) -> Sequence[str]:
    """Return series whose images may leave the spool; never one that is still received, queued, measured or sent."""
    query = select(Series.uid).where(is_over(retention, now), present()).order_by(Series.uid).limit(limit)
    if retention.stored:
        query = query.where(~present().where(Instance.stored_as.is_(None)))
    return session.scalars(query).all()


def present() -> Exists:
    """Whether images of a series are in the spool."""
    return exists().where(Instance.series_uid == Series.uid, Instance.removed_at.is_(None))


def is_over(retention: Retention, now: datetime) -> ColumnElement[bool]:
    """Whether the retention of a series is over, counted from its job's last change, or else its last image.

    What came home from the object store stays as long as what is done.
    """
    current = and_(Job.series_uid == Series.uid, Job.state != JobState.SUPERSEDED)
    unsent = and_(Job.state == JobState.ENCODED, ~exists().where(Delivery.job_id == Job.id))
    done = and_(or_(Job.state.in_(DONE), unsent), Job.updated_at <= now - retention.done)
    unresolved = and_(Job.state.in_(UNRESOLVED), Job.updated_at <= now - retention.unresolved)
    has_job = exists().where(current)
    keeps = exists().where(current, ~or_(done, unresolved))
    least = min(retention.done, retention.unresolved)
    by_job = and_(Series.state != SeriesState.RECEIVING, Series.last_arrival_at <= now - least, has_job, ~keeps)
    by_itself = [
        and_(Series.state == state, Series.last_arrival_at <= now - after)
        for state, after in ((SeriesState.SKIPPED, retention.skipped), (SeriesState.INCOMPLETE, retention.incomplete))
    ]
    at_home = or_(Series.fetched_at.is_(None), Series.fetched_at <= now - retention.done)
    return and_(at_home, or_(by_job, and_(~has_job, or_(*by_itself))))


def remove(
    session: Session, series_uid: str, retention: Retention, delete: Callable[[str], None], change: Change
) -> int:
    """Delete the images of one series under its lock, note that, and return how many there were.

    ``delete`` is called with each path; it accepts a file that is gone already, as after a crash in this function.
    """
    lock_series(session, series_uid)
    over = select(Series.uid).where(Series.uid == series_uid, is_over(retention, change.now))
    if session.scalar(over) is None:
        return 0
    series = session.get_one(Series, series_uid, populate_existing=True)
    images = session.scalars(
        select(Instance).where(Instance.series_uid == series_uid, Instance.removed_at.is_(None))
    ).all()
    if retention.stored and any(image.stored_as is None for image in images):
        return 0
    for image in images:
        delete(image.path)
        image.removed_at = change.now
    noted = Change(change.who, change.now, "images_removed", {"images": len(images)})
    append(session, series, (series.state, series.state), noted)
    return len(images)


def not_sent_again(session: Session, series_uid: str) -> int:
    """Return how many images of a series' current result were removed and have not come again in any version.

    0 where the job left no numbers: there is then no result that one of fewer images could replace.
    """
    job = current_series_job(session, series_uid)
    if job is None or session.scalar(select(Measurement.job_id).where(Measurement.job_id == job.id).limit(1)) is None:
        return 0
    there = select(Instance.sop_uid).where(
        Instance.series_uid == series_uid, Instance.replaced_at.is_(None), Instance.removed_at.is_(None)
    )
    missed = (
        select(func.count())
        .select_from(JobInstance)
        .join(Instance, Instance.id == JobInstance.instance_id)
        .where(JobInstance.job_id == job.id, Instance.sop_uid.not_in(there))
    )
    return session.scalar(missed) or 0
