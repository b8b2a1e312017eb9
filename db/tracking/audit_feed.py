"""What an audit repository is told of the events: each once its transaction is over, in their order, none left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db.process_tables import AuditFeed
from db.states import DeliveryState, SeriesState
from db.tables import Delivery, Event, Instance, Job, Output, Series

ONE = "syslog"
MOST_AT_ONCE = 200
# More than any transaction of ours takes; a counter that was set forward leaves a gap without end.
MOST_AWAITED = 10_000
# Numbers are given before transactions end: one that is missing may still come, or its transaction was taken back.
MAY_COME_LATE = timedelta(hours=1)
CLOSED = frozenset({SeriesState.COMPLETE, SeriesState.INCOMPLETE, SeriesState.SKIPPED})
InstancesOfClass = tuple[str | None, int, tuple[str, ...]]


@dataclass(frozen=True)
class ToldEvent:
    """An event with what a repository wants to know of it.

    ``destination`` is None where images came; ``instances`` are (SOP class, number, UIDs), the UIDs of our own objects
    alone.
    """

    at: datetime
    who: str
    to_state: str
    code: str | None
    study_uid: str
    patient_id: str | None
    destination: str | None = None
    senders: tuple[str, ...] = ()
    instances: tuple[InstancesOfClass, ...] = ()


@dataclass(frozen=True)
class FedBatch:
    """Events to be told, and where the feed stands when they were."""

    events: tuple[ToldEvent, ...]
    last_id: int
    missing: dict[str, str] = field(default_factory=dict)


def next_batch(session: Session, now: datetime) -> FedBatch | None:
    """Return what is to be told next; None where nothing is. A feed begins with what happens after its first call."""
    feed = session.get(AuditFeed, ONE)
    if feed is None:
        session.add(AuditFeed(name=ONE, last_event_id=session.scalar(select(func.max(Event.id))) or 0, missing={}))
        return None
    awaited = [int(number) for number in feed.missing]
    query = select(Event).where(or_(Event.id > feed.last_event_id, Event.id.in_(awaited)))
    rows = session.scalars(query.order_by(Event.id).limit(MOST_AT_ONCE)).all()
    if not rows:
        return None
    last_id = max(feed.last_event_id, rows[-1].id)
    came = {row.id for row in rows}
    gaps = (number for number in range(feed.last_event_id + 1, last_id) if number not in came)
    awaited_since = dict.fromkeys(map(str, islice(gaps, MOST_AWAITED)), now.isoformat()) | feed.missing
    missing = {
        number: since
        for number, since in awaited_since.items()
        if int(number) not in came and now - datetime.fromisoformat(since) < MAY_COME_LATE
    }
    return FedBatch(tuple(_told(session, rows)), last_id, missing)


def told(session: Session, batch: FedBatch) -> None:
    """Note that a batch was told."""
    feed = session.get_one(AuditFeed, ONE)
    feed.last_event_id, feed.missing = batch.last_id, batch.missing


def _told(session: Session, rows: Any) -> Iterator[ToldEvent]:
    for event in rows:
        if event.subject == "series" and event.from_state == SeriesState.RECEIVING and event.to_state in CLOSED:
            yield _received(session, event)
        elif event.subject == "delivery" and _is_step(event):
            delivery = session.get(Delivery, int(event.subject_id))
            # When a job is recomputed its deliveries leave.
            if delivery is not None:
                yield _sent(session, event, delivery)


def _is_step(event: Event) -> bool:
    begins = event.from_state is None and event.to_state == DeliveryState.PENDING
    return begins or (event.from_state == DeliveryState.PENDING and event.to_state in {"sent", "failed"})


def _received(session: Session, event: Event) -> ToldEvent:
    images = select(Instance.sop_class, func.count()).where(
        Instance.series_uid == event.series_uid, Instance.replaced_at.is_(None)
    )
    classes = session.execute(images.group_by(Instance.sop_class).order_by(Instance.sop_class)).all()
    of_series = (Instance.series_uid == event.series_uid, Instance.replaced_at.is_(None))
    senders = session.scalars(select(Instance.calling_ae).where(*of_series).distinct().order_by(Instance.calling_ae))
    return ToldEvent(
        at=event.at,
        who=event.who,
        to_state=event.to_state,
        code=event.code,
        study_uid=session.get_one(Series, event.series_uid).study_uid,
        patient_id=session.scalar(select(func.min(Instance.patient_id)).where(*of_series)),
        senders=tuple(senders),
        instances=tuple((sop_class, count, ()) for sop_class, count in classes),
    )


def _sent(session: Session, event: Event, delivery: Delivery) -> ToldEvent:
    output = session.get_one(Output, delivery.output_id)
    return ToldEvent(
        at=event.at,
        who=event.who,
        to_state=event.to_state,
        code=event.code,
        study_uid=session.get_one(Series, event.series_uid).study_uid,
        patient_id=session.get_one(Job, delivery.job_id).patient_id,
        destination=delivery.destination,
        instances=((None, 1, (output.sop_uid,) if output.sop_uid else ()),),
    )
