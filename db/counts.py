"""Counts what the rows hold, for a whole site at once: nothing here names a patient, a study or a series."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, func, select
from sqlalchemy.orm import Session

from db.states import DeliveryState, JobState, SeriesState
from db.tables import Delivery, Event, Instance, Job, Series

ANALYSE, DELIVER = "analyse", "deliver"
STOPPED = (JobState.REJECTED, JobState.REVIEW, JobState.FAILED)
DAY_S = 86400.0


@dataclass(frozen=True)
class Waiting:
    """How much is due and not begun, and for how many seconds the oldest of it has been due."""

    count: int
    oldest_s: float


@dataclass(frozen=True)
class StageTime:
    """How often a stage came to its end, and how many seconds that took in all."""

    runs: int
    seconds: float


@dataclass(frozen=True)
class SiteCounts:
    """What a site's rows hold now.

    ``stopped`` is by (job state, code), ``deliveries`` by (state, destination), ``waiting`` by queue.
    ``oldest_open_s`` is the age of the series that has been receiving for longest; 0 where none is.
    """

    images: int
    image_bytes: int
    series: Mapping[str, int]
    jobs: Mapping[str, int]
    stopped: Mapping[tuple[str, str], int]
    deliveries: Mapping[tuple[str, str], int]
    waiting: Mapping[str, Waiting]
    stages: Mapping[str, StageTime]
    oldest_open_s: float


def site_counts(session: Session, now: datetime) -> SiteCounts:
    """Count; states that no row has are 0."""
    images, image_bytes = session.execute(
        select(func.count(), func.coalesce(func.sum(Instance.size_bytes), 0)).select_from(Instance)
    ).one()
    opened = session.scalar(select(func.min(Series.first_arrival_at)).where(Series.state == SeriesState.RECEIVING))
    return SiteCounts(
        images=images,
        image_bytes=int(image_bytes),
        series=dict.fromkeys(map(str, SeriesState), 0) | _by(session, Series.state),
        jobs=dict.fromkeys(map(str, JobState), 0) | _by(session, Job.state),
        stopped=_by_two(session, Job.state, func.coalesce(Job.code, ""), Job.state.in_(STOPPED)),
        deliveries=_by_two(session, Delivery.state, Delivery.destination),
        waiting={
            ANALYSE: _waiting(session, Job.due_at, now, Job.state == JobState.QUEUED),
            DELIVER: _waiting(session, Delivery.due_at, now, Delivery.state == DeliveryState.PENDING),
        },
        stages=_stages(session),
        oldest_open_s=_age_s(opened, now),
    )


def _by(session: Session, column: Any) -> dict[str, int]:
    return {str(value): count for value, count in session.execute(select(column, func.count()).group_by(column))}


def _by_two(session: Session, first: Any, second: Any, *where: ColumnElement[bool]) -> dict[tuple[str, str], int]:
    query = select(first, second, func.count()).where(*where).group_by(first, second)
    return {(str(one), str(two)): count for one, two, count in session.execute(query)}


def _waiting(session: Session, due_at: Any, now: datetime, is_open: ColumnElement[bool]) -> Waiting:
    # What is not due yet waits for its next try, or is being sent: its due time lies ahead then.
    count, oldest = session.execute(select(func.count(), func.min(due_at)).where(is_open, due_at <= now)).one()
    return Waiting(count, _age_s(oldest, now))


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _stages(session: Session) -> dict[str, StageTime]:
    """Return the time of each stage: from its event to the next one of its job, unless that says that a worker died."""
    job = (Event.series_uid, Event.subject_id)
    steps = (
        select(
            Event.code,
            Event.detail,
            Event.at,
            func.lead(Event.at).over(partition_by=job, order_by=Event.sequence).label("ended"),
            func.lead(Event.code).over(partition_by=job, order_by=Event.sequence).label("next_code"),
        )
        .where(Event.subject == "job")
        .subquery()
    )
    stage = steps.c.detail["stage"].as_string()
    query = select(stage, func.count(), func.sum(_seconds(session, steps.c.at, steps.c.ended))).where(
        steps.c.code == "stage",
        steps.c.ended.is_not(None),
        func.coalesce(steps.c.next_code, "") != "lease_expired",
    )
    return {name: StageTime(runs, float(seconds)) for name, runs, seconds in session.execute(query.group_by(stage))}


def _seconds(session: Session, begun: ColumnElement[Any], ended: ColumnElement[Any]) -> ColumnElement[float]:
    if session.get_bind().dialect.name == "sqlite":
        return (func.julianday(ended) - func.julianday(begun)) * DAY_S
    return cast(func.extract("epoch", ended - begun), Float)
