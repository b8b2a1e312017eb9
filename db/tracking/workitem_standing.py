"""How the series that a work item names stand: still at work, delivered, or stopped; and how that work is stopped."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.states import DELIVERED_KINDS, DeliveryState, JobState, SeriesState
from db.tables import Delivery, Instance, Job, Output, Series
from db.tracking.deliveries import TAKEN
from db.tracking.events import Change, move
from db.tracking.jobs import current_series_job, locked_job

AT_WORK = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.ENCODED, JobState.REVIEW})
STOPPABLE = AT_WORK | {JobState.FAILED}
# A person may have these tried again, and images that were missing may come.
MAY_PASS = frozenset({JobState.FAILED})


@dataclass(frozen=True)
class Stop:
    """Why a series has no result; ``since`` where that may change, None where it is final."""

    code: str
    reason: str
    since: datetime | None = None


@dataclass(frozen=True)
class Standing:
    """How the series of an item stand.

    ``here`` are those of which all named images came; ``waiting`` those at work; ``delivered`` the jobs whose objects
    all arrived; ``stops`` are of the others.
    """

    here: tuple[str, ...]
    waiting: tuple[str, ...]
    delivered: tuple[int, ...]
    stops: tuple[Stop, ...]


@dataclass(frozen=True)
class StoredObject:
    """An object of a job, where its file lies, and which destinations took it."""

    path: str
    destinations: tuple[str, ...]


def standing(session: Session, named: Mapping[str, Collection[str]]) -> Standing:
    """Return how series stand; ``named`` has the SOP Instance UIDs that are asked for of each."""
    here = tuple(uid for uid, sop_uids in named.items() if _is_here(session, uid, sop_uids))
    ends = {uid: _end(session, uid) for uid in here}
    return Standing(
        here=here,
        waiting=tuple(uid for uid, end in ends.items() if end is None),
        delivered=tuple(end for end in ends.values() if isinstance(end, int)),
        stops=tuple(end for end in ends.values() if isinstance(end, Stop)),
    )


def _is_here(session: Session, series_uid: str, sop_uids: Collection[str]) -> bool:
    known = set(session.scalars(select(Instance.sop_uid).where(Instance.series_uid == series_uid)))
    return bool(known) and known.issuperset(sop_uids)


def _end(session: Session, series_uid: str) -> int | Stop | None:
    """Return the job that delivered, or why there is no result; None while work goes on."""
    series = session.get_one(Series, series_uid)
    job = current_series_job(session, series_uid)
    if series.state == SeriesState.RECEIVING:
        return None
    if job is not None:
        return _end_of_job(session, job)
    if series.state == SeriesState.COMPLETE:
        return None
    since = series.last_arrival_at if series.state == SeriesState.INCOMPLETE else None
    return Stop(series.code or series.state, f"the series is {series.state}", since)


def _end_of_job(session: Session, job: Job) -> int | Stop | None:
    if job.state in AT_WORK:
        return None
    if job.state == JobState.DELIVERED:
        is_open = select(Delivery.id).where(Delivery.job_id == job.id, Delivery.state == DeliveryState.SENT)
        return job.id if session.scalar(is_open.where(Delivery.proof_due_at.is_not(None)).limit(1)) is None else None
    since = job.updated_at if job.state in MAY_PASS else None
    return Stop(job.code or job.state, job.reason or f"the job was {job.state}", since)


def stored_objects(session: Session, job_ids: Collection[int]) -> list[StoredObject]:
    """Return the objects of jobs that destinations took."""
    rows = session.execute(
        select(Output.path, Delivery.destination)
        .join(Delivery, Delivery.output_id == Output.id)
        .where(Output.job_id.in_(job_ids), Output.kind.in_(DELIVERED_KINDS), Delivery.state.in_(TAKEN))
        .order_by(Output.id, Delivery.id)
    )
    found: dict[str, tuple[str, ...]] = {}
    for path, destination in rows:
        found[path] = (*found.get(path, ()), destination)
    return [StoredObject(path, destinations) for path, destinations in found.items()]


def stop_work(session: Session, series_uids: Collection[str], change: Change) -> bool | None:
    """Discard the jobs of series, where nothing of them was delivered.

    Returns whether that is so; None while an object is on its way, and nobody knows yet.
    """
    current = [job for uid in series_uids if (job := current_series_job(session, uid)) is not None]
    jobs = [locked_job(session, job.id) for job in sorted(current, key=lambda one: one.series_uid)]
    rows = list(session.scalars(select(Delivery).where(Delivery.job_id.in_([job.id for job in jobs]))))
    if any(row.state in TAKEN for row in rows):
        return False
    if any(_is_on_its_way(row, change.now) for row in rows):
        return None
    for job in jobs:
        if job.state in STOPPABLE:
            job.updated_at = change.now
            move(session, job, JobState.DISCARDED, change)
    return True


def _is_on_its_way(row: Delivery, now: datetime) -> bool:
    """Whether a worker has taken an object to send it: its due time is a lease then, and no try has failed since."""
    return row.state == DeliveryState.PENDING and row.attempts > 0 and row.code is None and row.due_at > now
