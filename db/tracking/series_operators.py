"""The operator's commands on a series: judge it anew, measure it again."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.errors import IllegalTransition, UnknownSubject
from db.states import SeriesState
from db.tables import Instance, Series
from db.tracking.events import Change, lock_series, move
from db.tracking.jobs import JobIdentity, current_images, current_series_job, place_job
from db.tracking.operators import BRING_BACK


def reconsider(session: Session, series_uid: str, who: str, now: datetime) -> None:
    """Open a skipped series again, so that the scheduler judges it by the rules that it has now.

    Raises
    ------
    UnknownSubject
        No such series.
    IllegalTransition
        The series was not skipped, or images of it have left the spool.
    """
    series = _kept(session, series_uid)
    if series.state != SeriesState.SKIPPED:
        raise IllegalTransition(
            f"series {series_uid} is {series.state}: only a series that was skipped can be reconsidered"
        )
    move(session, series, SeriesState.RECEIVING, Change(who, now, "reconsidered"))


def measure(session: Session, series_uid: str, identity: JobIdentity, who: str, now: datetime) -> int:
    """Queue a job for the current images of a series under another identity; it supersedes the current job.

    Returns the job. Results of the one before stay in the rows; what is pending of them is not sent any more.

    Raises
    ------
    UnknownSubject
        No such series.
    IllegalTransition
        The series has no job, is being received, was measured under this identity, or images have left the spool.
    """
    series = _kept(session, series_uid)
    if series.state == SeriesState.RECEIVING:
        raise IllegalTransition(f"series {series_uid} is still being received: it is measured when it is whole")
    older = current_series_job(session, series_uid)
    if older is None:
        raise IllegalTransition(f"series {series_uid} has no job: it is {series.state}, {series.code}")
    images = current_images(session, series_uid)
    if older.key == images.job_key(identity):
        raise IllegalTransition(
            f"job {older.id} has measured these images with this model, or will: see `scleroscan recompute` and `retry`"
        )
    return place_job(session, images, identity, older, Change(who, now, "measured_again")).id


def _kept(session: Session, series_uid: str) -> Series:
    """Return a series under its lock, all of whose images are in the spool."""
    series = session.get(Series, series_uid)
    if series is None:
        raise UnknownSubject(f"series {series_uid} is unknown here: no image of it was registered")
    lock_series(session, series_uid)
    session.refresh(series)
    gone = select(Instance.id).where(
        Instance.series_uid == series_uid, Instance.replaced_at.is_(None), Instance.removed_at.is_not(None)
    )
    if session.scalar(gone.limit(1)) is not None:
        raise IllegalTransition(f"images of series {series_uid} have left the spool after their time: {BRING_BACK}")
    return series
