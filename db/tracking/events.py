"""Writes changes of state and their events, always both in one transaction."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from db import states
from db.errors import UnknownSubject
from db.states import DeliveryState, JobState, SeriesState, WorkitemState
from db.tables import Delivery, Event, Job, Series
from db.tracking import subject_hash
from db.workitem_table import Workitem

CHAIN_START = "0" * 64
Subject = Series | Job | Delivery | Workitem
TYPE_NAMES: Final[dict[type, str]] = {Series: "series", Job: "job", Delivery: "delivery", Workitem: "workitem"}


@dataclass(frozen=True)
class Change:
    """Why something changed, who changed it, and when.

    ``code`` is a stable code where there is a reason to name; ``detail`` the numbers behind it, JSON-ready.
    """

    who: str
    now: datetime
    code: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def move(session: Session, subject: Subject, to_state: str, change: Change) -> None:
    """Change the state of ``subject`` and append the event, in the caller's transaction.

    Raises
    ------
    IllegalTransition
        The machine has no such arrow.
    """
    states.check(TYPE_NAMES[type(subject)], subject.state, to_state)
    from_state = subject.state
    _enter(subject, to_state)
    append(session, subject, (from_state, to_state), change)


def _enter(subject: Subject, state: str) -> None:
    if isinstance(subject, Series):
        subject.state = SeriesState(state)
    elif isinstance(subject, Job):
        subject.state = JobState(state)
    elif isinstance(subject, Workitem):
        subject.state = WorkitemState(state)
    else:
        subject.state = DeliveryState(state)


def begin(session: Session, subject: Subject, change: Change) -> None:
    """Append the first event of a new ``subject``, whose row carries its first state already."""
    states.check(TYPE_NAMES[type(subject)], None, subject.state)
    session.add(subject)
    session.flush()
    append(session, subject, (None, subject.state), change)


def append(session: Session, subject: Subject, arrow: tuple[str | None, str], change: Change) -> None:
    """Append one event to the chain of the subject's series."""
    lock_series(session, _series_uid(session, subject))
    _append(session, subject, arrow, change, subject_hash.of_subject(session, subject))


def note(session: Session, subject: Subject, change: Change) -> None:
    """Append an event of something that changed nothing.

    It carries the hash of the row that the event before has: a row that was tampered with is not vouched for anew.
    Raises UnknownSubject where there is none before.
    """
    series_uid = _series_uid(session, subject)
    lock_series(session, series_uid)
    own = (Event.subject == TYPE_NAMES[type(subject)], Event.subject_id == _subject_id(subject))
    before = select(Event).where(Event.series_uid == series_uid, *own).order_by(Event.sequence.desc()).limit(1)
    last = session.scalars(before).first()
    if last is None:
        raise UnknownSubject(f"{TYPE_NAMES[type(subject)]} {_subject_id(subject)} has no events: see the audit")
    _append(session, subject, (last.to_state, last.to_state), change, last.subject_hash)


def _append(
    session: Session,
    subject: Subject,
    arrow: tuple[str | None, str],
    change: Change,
    hash_of_row: str | None,
) -> None:
    series_uid = _series_uid(session, subject)
    last = session.scalars(
        select(Event).where(Event.series_uid == series_uid).order_by(Event.sequence.desc()).limit(1)
    ).first()
    row = Event(
        id=_next_id(session),
        series_uid=series_uid,
        sequence=last.sequence + 1 if last else 1,
        at=change.now,
        who=change.who,
        subject=TYPE_NAMES[type(subject)],
        subject_id=_subject_id(subject),
        from_state=arrow[0],
        to_state=arrow[1],
        code=change.code,
        detail=change.detail,
        subject_hash=hash_of_row,
        previous_hash=last.hash if last else CHAIN_START,
    )
    row.hash = chain_hash(row)
    session.add(row)
    session.flush()


def lock_series(session: Session, series_uid: str) -> None:
    """Lock the series' row until the transaction ends, so that its chain grows by one event at a time."""
    found = session.scalar(select(Series.uid).where(Series.uid == series_uid).with_for_update())
    if found is None:
        raise UnknownSubject(f"no series {series_uid} is tracked")


def _next_id(session: Session) -> int:
    """Return the id of the next event: it is hashed before the row is written."""
    if session.get_bind().dialect.name == "sqlite":
        return (session.scalar(select(func.max(Event.id))) or 0) + 1
    return int(session.scalars(select(func.nextval("event_id_seq"))).one())


def chain_hash(event: Event | Row[Any]) -> str:
    """SHA-256 over every field of the event and the hash of the one before."""
    fields = [
        event.series_uid,
        event.sequence,
        event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        event.who,
        event.subject,
        event.subject_id,
        event.from_state,
        event.to_state,
        event.code,
        event.detail,
        event.previous_hash,
    ]
    # Events of earlier versions have no such hash, and the hash of these is as it was.
    if event.subject_hash is not None:
        fields += [event.id, event.subject_hash]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def verify_chain(session: Session, series_uid: str) -> str | None:
    """Return None where the events of a series are whole and unchanged, else a sentence that names the first fault."""
    events = select(Event.__table__).where(Event.series_uid == series_uid).order_by(Event.sequence)
    return chain_fault(series_uid, session.execute(events).all())


def chain_fault(series_uid: str, events: Sequence[Row[Any]]) -> str | None:
    """Return the first fault of the events of a series, given in their order; None where there is none."""
    previous = CHAIN_START
    for sequence, event in enumerate(events, start=1):
        if event.sequence != sequence:
            return f"event {sequence} of series {series_uid} is missing"
        if event.previous_hash != previous or event.hash != chain_hash(event):
            return f"event {sequence} of series {series_uid} was changed after it was written"
        previous = event.hash
    return None if events else f"series {series_uid} has no events"


def _subject_id(subject: Subject) -> str:
    return str(subject.uid if isinstance(subject, Series | Workitem) else subject.id)


def _series_uid(session: Session, subject: Subject) -> str:
    if isinstance(subject, Series):
        return subject.uid
    if isinstance(subject, Job):
        return subject.series_uid
    if isinstance(subject, Workitem):
        return subject.series_uid or ""
    job = session.get_one(Job, subject.job_id)
    return job.series_uid
