"""Reads what happened: the status of every series, the auditors' views, the trail of one series."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db.states import JobState, SeriesState
from db.tables import Delivery, Instance, Job, Series
from db.tracking.retention import DONE, UNRESOLVED, Retention

RATE_OVER = timedelta(days=7)
TIME_COLUMNS = frozenset({"at", "received_at", "assessed_at", "delivered_at", "committed_at"})


@dataclass(frozen=True)
class DeliveryStatus:
    """Where one object stands with one destination."""

    destination: str
    state: str
    attempts: int
    status: int | None
    reason: str | None


@dataclass(frozen=True)
class SeriesStatus:
    """Where one series stands. The job's fields are None until a job is open.

    ``state`` is the job's where there is one, else the series' own; so are ``code``, ``reason`` and ``detail``.
    """

    series_uid: str
    description: str
    instances: int
    last_arrival_at: datetime
    series_state: str
    job_id: int | None
    state: str
    stage: str | None
    attempt: int
    code: str | None
    reason: str | None
    detail: dict[str, Any]
    deliveries: tuple[DeliveryStatus, ...]
    images_until: datetime | None = None


def status(
    session: Session, series_uid: str | None = None, limit: int = 100, retention: Retention | None = None
) -> list[SeriesStatus]:
    """Return the newest ``limit`` series, newest first, or just the one asked for.

    With ``retention`` each says until when its images stay in the spool, where that is known by now.
    """
    query = select(Series).order_by(Series.last_arrival_at.desc(), Series.uid).limit(limit)
    if series_uid is not None:
        query = query.where(Series.uid == series_uid)
    rows = session.scalars(query).all()
    uids = [row.uid for row in rows]
    jobs = {
        job.series_uid: job
        for job in session.scalars(
            select(Job).where(Job.series_uid.in_(uids), Job.state != JobState.SUPERSEDED).order_by(Job.id)
        )
    }
    counts = _instance_counts(session, uids)
    deliveries = _deliveries(session, [job.id for job in jobs.values()])
    found = [(_status(row, jobs.get(row.uid), counts.get(row.uid, 0), deliveries), jobs.get(row.uid)) for row in rows]
    if retention is None:
        return [one for one, _ in found]
    return [replace(one, images_until=_images_until(one, job, retention)) for one, job in found]


def _images_until(series: SeriesStatus, job: Job | None, retention: Retention) -> datetime | None:
    """Return when the images may leave, as :func:`db.tracking.removable` judges; None while something is to be done."""
    if series.series_state == SeriesState.RECEIVING or not series.instances:
        return None
    if job is None:
        stay = {SeriesState.SKIPPED: retention.skipped, SeriesState.INCOMPLETE: retention.incomplete}
        after = stay.get(SeriesState(series.series_state))
        return None if after is None else series.last_arrival_at + after
    is_done = job.state in DONE or (job.state == JobState.ENCODED and not series.deliveries)
    if is_done or job.state in UNRESOLVED:
        return job.updated_at + (retention.done if is_done else retention.unresolved)
    return None


@dataclass(frozen=True)
class SpoolRate:
    """Bytes a day that came into the spool and that left it, over the last week, or less where there are fewer days."""

    came: float
    left: float


def spool_rate(session: Session, now: datetime) -> SpoolRate | None:
    """Return how fast the spool grows; None before a day of receiving has passed."""
    first = session.scalar(select(func.min(Instance.received_at)))
    if first is None or now - first < timedelta(days=1):
        return None
    since = max(first, now - RATE_OVER)
    days = (now - since) / timedelta(days=1)
    total = func.coalesce(func.sum(Instance.size_bytes), 0)
    came = session.scalar(select(total).where(Instance.received_at >= since)) or 0
    left = session.scalar(select(total).where(Instance.removed_at >= since)) or 0
    return SpoolRate(float(came) / days, float(left) / days)


def _instance_counts(session: Session, uids: Sequence[str]) -> dict[str, int]:
    query = (
        select(Instance.series_uid, func.count())
        .where(Instance.series_uid.in_(uids), Instance.replaced_at.is_(None))
        .group_by(Instance.series_uid)
    )
    return {uid: count for uid, count in session.execute(query)}


def _deliveries(session: Session, job_ids: Sequence[int]) -> dict[int, list[DeliveryStatus]]:
    found: dict[int, list[DeliveryStatus]] = {}
    for row in session.scalars(select(Delivery).where(Delivery.job_id.in_(job_ids)).order_by(Delivery.id)):
        found.setdefault(row.job_id, []).append(
            DeliveryStatus(row.destination, row.state, row.attempts, row.status, row.reason)
        )
    return found


def _status(
    series: Series, job: Job | None, instances: int, deliveries: Mapping[int, list[DeliveryStatus]]
) -> SeriesStatus:
    return SeriesStatus(
        series_uid=series.uid,
        description=series.description,
        instances=instances,
        last_arrival_at=series.last_arrival_at,
        series_state=series.state,
        job_id=job.id if job else None,
        state=job.state if job and series.state != SeriesState.RECEIVING else series.state,
        stage=job.stage if job and job.state == JobState.RUNNING else None,
        attempt=job.attempt if job else 0,
        code=job.code if job else series.code,
        reason=job.reason if job else None,
        detail=job.detail if job else series.detail,
        deliveries=tuple(deliveries.get(job.id, ())) if job else (),
    )


def results(session: Session, series_uid: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of the view ``audit_result``, newest first."""
    where = "WHERE series_uid = :uid " if series_uid else ""
    return _rows(session, f"SELECT * FROM audit_result {where}ORDER BY job_id DESC", series_uid)  # noqa: S608  constant text


def trail(session: Session, series_uid: str) -> list[dict[str, Any]]:
    """Return the rows of the view ``audit_trail`` for one series, oldest first."""
    return _rows(session, "SELECT * FROM audit_trail WHERE series_uid = :uid ORDER BY sequence", series_uid)


def _rows(session: Session, statement: str, series_uid: str | None) -> list[dict[str, Any]]:
    rows = session.execute(text(statement), {"uid": series_uid} if series_uid else {}).mappings()
    return [{name: _plain(name, value) for name, value in row.items()} for row in rows]


def _plain(name: str, value: Any) -> Any:
    """Return a value of a view with its type: SQLite's views have no column types and return times and JSON as text."""
    if name == "detail" and isinstance(value, str):
        return json.loads(value)
    return _utc(value) if name in TIME_COLUMNS else value


def _utc(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
