"""Reads where every series stands, with its sender, its result and what is still to be sent."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, case, func, select, type_coerce
from sqlalchemy.orm import Session

from db.finding_tables import Measurement, QualityFlag
from db.states import DeliveryState, JobState, SeriesState
from db.tables import Delivery, Instance, Job, Output, Series
from db.tracking.retention import DONE, UNRESOLVED, Retention


@dataclass(frozen=True)
class DeliveryStatus:
    """Where one object stands with one destination. ``next_try_at`` is None unless it is still to be sent.

    ``kind`` is what the object is (:class:`db.states.OutputKind`). One that is ``failed`` is a dead letter: it is sent
    again only where an operator retries it. ``proof`` says of one that was sent how it is known that the archive has
    it: ``commitment`` or ``query``, ``open`` while that is sought, or ``not proven``; None of one that was not sent.
    """

    destination: str
    state: str
    attempts: int
    status: int | None
    reason: str | None
    next_try_at: datetime | None = None
    kind: str = ""
    code: str | None = None
    proof: str | None = None


@dataclass(frozen=True)
class SeriesStatus:
    """Where one series stands. The job's fields are None until a job is open.

    ``state`` is the job's where there is one, else the series' own; so are ``code``, ``reason`` and ``detail``.
    ``extents_pct`` are those of both whole lungs, by pattern, and ``flags`` the doubts about them. ``patient_ids`` are
    those that the images name; None where they are not to be shown.
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
    senders: tuple[str, ...] = ()
    patient_ids: tuple[str, ...] | None = None
    extents_pct: Mapping[str, float] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Which series are asked for: all conditions that are set hold; the newest ``limit`` of them, after ``offset``.

    ``since`` and ``until`` bound when the last image came, the second excluded. With ``dead_letters`` only those of
    whose objects a destination got one neither at once nor later.
    """

    series_uid: str | None = None
    state: str | None = None
    patient_id: str | None = None
    sender: str | None = None
    since: datetime | None = None
    limit: int = 100
    dead_letters: bool = False
    until: datetime | None = None
    code: str | None = None
    offset: int = 0


EVERY = Wanted()


@dataclass(frozen=True)
class _Images:
    count: int
    senders: tuple[str, ...]
    patient_ids: tuple[str, ...]


NO_IMAGES = _Images(0, (), ())


def status(
    session: Session,
    series_uid: str | None = None,
    retention: Retention | None = None,
    wanted: Wanted = EVERY,
) -> list[SeriesStatus]:
    """Return the series that are wanted, newest first, or just the one named.

    With ``retention`` each says until when its images stay in the spool, where that is known by now.
    """
    rows = _rows(session, replace(wanted, series_uid=series_uid or wanted.series_uid))
    images = _images(session, [series.uid for series, _ in rows])
    job_ids = [job.id for _, job in rows if job is not None]
    deliveries, extents, flags = _deliveries(session, job_ids), _extents(session, job_ids), _flags(session, job_ids)
    found = []
    for series, job in rows:
        one = _of_series(series, images.get(series.uid, NO_IMAGES))
        if job is not None:
            one = _with_job(one, job)
            one = replace(one, deliveries=tuple(deliveries[job.id]), flags=tuple(flags[job.id]))
            one = replace(one, extents_pct=extents.get(job.id))
        if retention and (until := _images_until(one, job, retention)):
            home = series.fetched_at + retention.done if series.fetched_at else until
            one = replace(one, images_until=max(until, home))
        found.append(one)
    return found


def _rows(session: Session, wanted: Wanted) -> list[tuple[Series, Job | None]]:
    """Return the series with the newest job that none supersedes."""
    query = select(Series, Job).outerjoin(Job, _is_newest_job()).where(*_conditions(wanted))
    query = query.order_by(Series.last_arrival_at.desc(), Series.uid).offset(wanted.offset).limit(wanted.limit)
    return [(series, job) for series, job in session.execute(query)]


def series_by_state(session: Session) -> dict[str, int]:
    """Return how many series are in each state, as :class:`SeriesStatus` has it."""
    shown = _shown_state()
    query = select(shown, func.count()).select_from(Series).outerjoin(Job, _is_newest_job()).group_by(shown)
    return {state: count for state, count in session.execute(query)}


def _is_newest_job() -> ColumnElement[bool]:
    newest = select(func.max(Job.id)).where(Job.series_uid == Series.uid, Job.state != JobState.SUPERSEDED)
    return Job.id == newest.correlate(Series).scalar_subquery()


def _shown_state() -> ColumnElement[str]:
    own, of_job = type_coerce(Series.state, String), type_coerce(Job.state, String)
    return case((own == SeriesState.RECEIVING.value, own), else_=func.coalesce(of_job, own))


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    shown = _shown_state()
    code = case((Job.id.is_(None), Series.code), else_=Job.code)
    image = select(Instance.id).where(Instance.series_uid == Series.uid, Instance.replaced_at.is_(None))
    asked = (
        (wanted.series_uid, Series.uid == wanted.series_uid),
        (wanted.state, shown == wanted.state),
        (wanted.patient_id, image.where(Instance.patient_id == wanted.patient_id).exists()),
        (wanted.sender, image.where(Instance.calling_ae == wanted.sender).exists()),
        (wanted.code, code == wanted.code),
    )
    conditions = [condition for value, condition in asked if value is not None]
    if wanted.dead_letters:
        dead = select(Delivery.id).where(Delivery.job_id == Job.id, Delivery.state == DeliveryState.FAILED)
        conditions.append(dead.correlate(Job).exists())
    if wanted.since is not None:
        conditions.append(Series.last_arrival_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(Series.last_arrival_at < wanted.until)
    return conditions


def _of_series(series: Series, images: _Images) -> SeriesStatus:
    return SeriesStatus(
        series_uid=series.uid,
        description=series.description,
        instances=images.count,
        last_arrival_at=series.last_arrival_at,
        series_state=series.state,
        job_id=None,
        state=series.state,
        stage=None,
        attempt=0,
        code=series.code,
        reason=None,
        detail=series.detail,
        deliveries=(),
        senders=images.senders,
        patient_ids=images.patient_ids,
    )


def _with_job(one: SeriesStatus, job: Job) -> SeriesStatus:
    return replace(
        one,
        job_id=job.id,
        state=one.state if one.series_state == SeriesState.RECEIVING else job.state,
        stage=job.stage if job.state == JobState.RUNNING else None,
        attempt=job.attempt,
        code=job.code,
        reason=job.reason,
        detail=job.detail,
    )


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


def _images(session: Session, uids: Sequence[str]) -> dict[str, _Images]:
    named = (Instance.series_uid, Instance.calling_ae, Instance.patient_id)
    query = select(*named, func.count()).where(Instance.series_uid.in_(uids), Instance.replaced_at.is_(None))
    parts: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for uid, calling_ae, patient_id, count in session.execute(query.group_by(*named)):
        parts[uid].append((calling_ae, patient_id, count))
    return {
        uid: _Images(sum(part[2] for part in of), _each(part[0] for part in of), _each(part[1] for part in of))
        for uid, of in parts.items()
    }


def _each(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _deliveries(session: Session, job_ids: Sequence[int]) -> dict[int, list[DeliveryStatus]]:
    found: dict[int, list[DeliveryStatus]] = defaultdict(list)
    query = select(Delivery, Output.kind).join(Output, Output.id == Delivery.output_id)
    for row, kind in session.execute(query.where(Delivery.job_id.in_(job_ids)).order_by(Delivery.id)):
        found[row.job_id].append(
            DeliveryStatus(
                destination=row.destination,
                state=row.state,
                attempts=row.attempts,
                status=row.status,
                reason=row.reason,
                next_try_at=row.due_at if row.state == DeliveryState.PENDING else None,
                kind=kind,
                code=row.code,
                proof=_proof(row),
            )
        )
    return found


def _proof(row: Delivery) -> str | None:
    if row.sent_at is None:
        return None
    return row.proof or ("open" if row.proof_due_at else "not proven")


def _extents(session: Session, job_ids: Sequence[int]) -> dict[int, dict[str, float]]:
    of = Measurement
    rows = session.scalars(
        select(of).where(of.job_id.in_(job_ids), of.side == "both", of.zone == "whole", of.quantity == "extent")
    )
    found: dict[int, dict[str, float]] = defaultdict(dict)
    for row in rows:
        found[row.job_id][row.region] = row.value
    return dict(found)


def _flags(session: Session, job_ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    query = select(QualityFlag).where(QualityFlag.job_id.in_(job_ids)).order_by(QualityFlag.code)
    for row in session.scalars(query):
        found[row.job_id].append(row.code)
    return found
