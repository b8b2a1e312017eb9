"""Says where the files of results are, which of them may leave, and notes that they were removed. Rows stay."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.states import JobState
from db.tables import Job, Output
from db.tracking.events import Change, append, lock_series

# What still has to be sent, or waits for a person, stays, and so does what lies in the folder alone: state ``encoded``.
OVER = (JobState.DELIVERED, JobState.DISCARDED, JobState.SUPERSEDED)


def output_paths(session: Session, job_id: int) -> list[tuple[str, str]]:
    """Return kind and path of each file of a job, in the order in which they were written."""
    files = select(Output.kind, Output.path).where(Output.job_id == job_id).order_by(Output.id)
    return [(kind.value, path) for kind, path in session.execute(files)]


def expired_results(session: Session, keys: Collection[str], before: datetime) -> Mapping[str, int]:
    """Return the jobs, by key, that have been over since ``before`` or longer."""
    over = select(Job.key, Job.id).where(Job.key.in_(keys), Job.state.in_(OVER), Job.updated_at <= before)
    return {key: job_id for key, job_id in session.execute(over)}


def remove_results(session: Session, job_id: int, before: datetime, delete: Callable[[], int], change: Change) -> int:
    """Delete the files of one job under the lock of its series, note that, and return how many there were."""
    job = session.get_one(Job, job_id)
    lock_series(session, job.series_uid)
    session.refresh(job)
    if job.state not in OVER or job.updated_at > before:
        return 0
    count = delete()
    noted = Change(change.who, change.now, "results_removed", {"files": count})
    append(session, job, (job.state, job.state), noted)
    return count
