"""Says where the files of results are, which of them may leave, and notes that they were removed. Rows stay."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from db.states import JobState
from db.tables import Job, Output, Series
from db.tracking.events import Change, append, lock_series

# What still has to be sent, or waits for a person, stays, and so does what lies in the folder alone: state ``encoded``.
OVER = (JobState.DELIVERED, JobState.DISCARDED, JobState.SUPERSEDED)


def output_paths(session: Session, job_id: int) -> list[tuple[str, str]]:
    """Return kind and path of each file of a job, in the order in which they were written."""
    files = select(Output.kind, Output.path).where(Output.job_id == job_id).order_by(Output.id)
    return [(kind.value, path) for kind, path in session.execute(files)]


def expired_results(
    session: Session, keys: Collection[str], before: datetime, stored: bool | None = None
) -> Mapping[str, int]:
    """Return the jobs, by key, that have been over since ``before`` or longer.

    With ``stored`` those alone of whose files there are copies in the object store, or, where it is False, are none.
    """
    over = select(Job.key, Job.id).join(Series, Series.uid == Job.series_uid)
    over = over.where(Job.key.in_(keys), *_are_over(before, stored))
    return {key: job_id for key, job_id in session.execute(over)}


def _are_over(before: datetime, stored: bool | None) -> list[ColumnElement[bool]]:
    at_home = or_(Series.fetched_at.is_(None), Series.fetched_at <= before)
    conditions = [Job.state.in_(OVER), Job.updated_at <= before, at_home]
    return conditions if stored is None else [*conditions, Job.stored_as.is_not(None) == stored]


def remove_results(
    session: Session,
    job_id: int,
    before: datetime,
    delete: Callable[[], int],
    change: Change,
    stored: bool | None = None,
) -> int:
    """Delete the files of one job under the lock of its series, note that, and return how many there were."""
    job = session.get_one(Job, job_id)
    lock_series(session, job.series_uid)
    session.refresh(job)
    if job.key not in expired_results(session, [job.key], before, stored):
        return 0
    count = delete()
    noted = Change(change.who, change.now, "results_removed", {"files": count})
    append(session, job, (job.state, job.state), noted)
    return count
