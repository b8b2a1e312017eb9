"""Reads deliveries of a whole site: what is on its way, and what rests unsent."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.states import DeliveryState, JobState
from db.tables import Delivery, Job, Output


@dataclass(frozen=True)
class DeliveryLine:
    """One object on its way to one destination."""

    series_uid: str
    job_id: int
    job_state: str
    kind: str
    destination: str
    state: str
    attempts: int
    code: str | None
    reason: str | None
    due_at: datetime
    created_at: datetime


def deliveries_in(session: Session, state: DeliveryState, limit: int, offset: int = 0) -> list[DeliveryLine]:
    """Return deliveries in one state, newest first."""
    query = (
        select(Delivery, Job.series_uid, Job.state, Output.kind)
        .join(Job, Job.id == Delivery.job_id)
        .join(Output, Output.id == Delivery.output_id)
        .where(Delivery.state == state)
        .order_by(Delivery.id.desc())
    )
    return [
        DeliveryLine(
            series_uid=series_uid,
            job_id=one.job_id,
            job_state=job_state,
            kind=kind,
            destination=one.destination,
            state=one.state,
            attempts=one.attempts,
            code=one.code,
            reason=one.reason,
            due_at=one.due_at,
            created_at=one.created_at,
        )
        for one, series_uid, job_state, kind in session.execute(query.offset(offset).limit(limit))
    ]


def dead_letters(session: Session) -> int:
    """Return how many objects rest unsent, but for those of jobs that were superseded or discarded."""
    query = select(func.count()).select_from(Delivery).join(Job, Job.id == Delivery.job_id)
    rests = Job.state.in_((JobState.SUPERSEDED, JobState.DISCARDED))
    return session.scalars(query.where(Delivery.state == DeliveryState.FAILED, ~rests)).one()


def deliveries_by_state(session: Session) -> dict[str, int]:
    """Return how many deliveries are in each state."""
    query = select(Delivery.state, func.count()).group_by(Delivery.state)
    return {state.value: count for state, count in session.execute(query)}
