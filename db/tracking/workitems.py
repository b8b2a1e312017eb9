"""Items of a worklist that the site performs: each step in the row, and once a series is here, in its chain."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from db import states
from db.states import WorkitemState
from db.tracking.events import Change, append, begin, move
from db.workitem_table import Workitem

OPEN = (WorkitemState.CLAIMING, WorkitemState.WORKING, WorkitemState.COMPLETING, WorkitemState.CANCELING)
ENDS = {WorkitemState.COMPLETING: WorkitemState.COMPLETED, WorkitemState.CANCELING: WorkitemState.CANCELED}
CANCEL_REQUESTED = "cancel_requested"


@dataclass(frozen=True)
class AskedWork:
    """An item as the worklist tells it: ``asked`` is what it names, as JSON."""

    uid: str
    worklist: str
    label: str
    requester: str
    order_number: str
    asked: dict[str, Any]


@dataclass(frozen=True)
class HeldWork:
    """An item that is ours, and how far it is; ``attempts`` are the tries since ``troubled_since``."""

    uid: str
    transaction_uid: str
    state: WorkitemState
    series_uid: str | None
    code: str | None
    reason: str | None
    asked: dict[str, Any]
    jobs: list[int] | None
    claimed_at: datetime
    cancel_asked_at: datetime | None
    attempts: int
    troubled_since: datetime | None
    fetched_at: datetime | None


def known_workitems(session: Session, uids: Collection[str]) -> set[str]:
    """Return which of the items have a row."""
    return set(session.scalars(select(Workitem.uid).where(Workitem.uid.in_(uids))))


def open_workitems(session: Session) -> int:
    """Return how many items are ours and not at their end."""
    return session.scalars(select(func.count()).select_from(Workitem).where(Workitem.state.in_(OPEN))).one()


def due_workitems(session: Session, now: datetime) -> list[HeldWork]:
    """Return the items that are ours, not at their end, and do not pause, the oldest first."""
    rows = select(Workitem).where(Workitem.state.in_(OPEN), Workitem.due_at <= now).order_by(Workitem.claimed_at)
    return [_held(row) for row in session.scalars(rows)]


def _held(row: Workitem) -> HeldWork:
    return HeldWork(**{name: getattr(row, name) for name in HeldWork.__dataclass_fields__})


def take_workitem(session: Session, work: AskedWork, transaction_uid: str, now: datetime) -> None:
    """Keep an item that is about to be claimed, and the UID by which it will be ours."""
    facts = {name: getattr(work, name) for name in AskedWork.__dataclass_fields__}
    row = Workitem(**facts, transaction_uid=transaction_uid, state=WorkitemState.CLAIMING, claimed_at=now, due_at=now)
    session.add(row)


def workitem_claim_tried(session: Session, uid: str) -> None:
    """Count a claim before it is sent: where no answer comes, it may have been taken."""
    _locked(session, uid).attempts += 1


def workitem_claimed(session: Session, uid: str, subscribed: bool | None) -> None:
    """Note that an item is ours, and whether the worklist tells us of a request to cancel it."""
    row = _locked(session, uid)
    if row.state == WorkitemState.CLAIMING:
        row.subscribed = subscribed
        _clear(row)
        _step(session, row, WorkitemState.WORKING, Change("", row.claimed_at))


def forget_workitem(session: Session, uid: str) -> None:
    """Drop an item that another performer has claimed: it was never ours."""
    session.execute(delete(Workitem).where(Workitem.uid == uid, Workitem.state == WorkitemState.CLAIMING))


def workitem_here(session: Session, uid: str, series_uid: str, change: Change) -> None:
    """Let the events of an item stand with those of a series from now on; the first says who asked for what."""
    row = _locked(session, uid)
    if row.series_uid is not None or row.state != WorkitemState.WORKING:
        return
    row.series_uid = series_uid
    asked = {name: getattr(row, name) for name in ("worklist", "label", "requester", "order_number")}
    begin(session, row, replace(change, code="claimed", detail=asked | {"claimed_at": row.claimed_at.isoformat()}))


def workitem_fetched(session: Session, uid: str, now: datetime) -> None:
    """Note that the images of an item were fetched."""
    _locked(session, uid).fetched_at = now


def workitem_waits(session: Session, uid: str, trouble: str, due_at: datetime, now: datetime) -> None:
    """Note what an item waits for after a passing failure; it is due again at ``due_at``."""
    row = _locked(session, uid)
    row.trouble, row.due_at, row.attempts = trouble, due_at, row.attempts + 1
    row.troubled_since = row.troubled_since or now


def workitem_goes_on(session: Session, uid: str) -> None:
    """Note that what an item waited for is over."""
    _clear(_locked(session, uid))


def wake_workitems(session: Session, now: datetime) -> None:
    """Let no item pause any more: the worklist has just answered after a time when it did not."""
    paused = update(Workitem).where(Workitem.state.in_(OPEN), Workitem.due_at > now).values(due_at=now)
    session.execute(paused, execution_options={"synchronize_session": False})


def hears_cancels(session: Session) -> bool | None:
    """Return whether the worklist told us of requests to cancel the item claimed last; None where nobody knows."""
    return session.scalars(select(Workitem.subscribed).order_by(Workitem.claimed_at.desc()).limit(1)).first()


def ask_to_cancel(session: Session, uid: str, said: str, change: Change) -> bool:
    """Note that who asked for an item asks to cancel it; False where it is none of ours, or ending already."""
    row = session.get(Workitem, uid, with_for_update=True)
    begun = (WorkitemState.CLAIMING, WorkitemState.WORKING)
    if row is None or row.cancel_asked_at is not None or row.state not in begun:
        return False
    row.cancel_asked_at = change.now
    if row.series_uid is not None:
        asked = replace(change, code=CANCEL_REQUESTED, detail={"said": said})
        append(session, row, (row.state, row.state), asked)
    return True


def workitem_completes(session: Session, uid: str, jobs: Sequence[int], change: Change) -> None:
    """Note that all is delivered: the objects of ``jobs`` are the output."""
    row = _locked(session, uid)
    if row.state == WorkitemState.WORKING:
        row.jobs = list(jobs)
        _end(session, row, WorkitemState.COMPLETING, replace(change, detail={"jobs": row.jobs}))


def workitem_cancels(session: Session, uid: str, reason: str, change: Change) -> None:
    """Note that nothing will be delivered, and why: the change has the code."""
    row = _locked(session, uid)
    if row.state == WorkitemState.WORKING:
        row.code, row.reason = change.code, reason
        _end(session, row, WorkitemState.CANCELING, change)


def workitem_ended(session: Session, uid: str, change: Change) -> None:
    """Note that the worklist knows the end of an item."""
    row = _locked(session, uid)
    if row.state in ENDS:
        row.ended_at = change.now
        _end(session, row, ENDS[row.state], replace(change, code=row.code))


def workitem_lost(session: Session, uid: str, reason: str, change: Change) -> None:
    """Note that the worklist says that an item is not ours, or that trying is over: the change has the code."""
    row = _locked(session, uid)
    if row.state == WorkitemState.CLAIMING:
        forget_workitem(session, uid)
    elif row.state in OPEN:
        row.code, row.reason, row.ended_at = change.code, reason, change.now
        _end(session, row, WorkitemState.LOST, change)


def _end(session: Session, row: Workitem, state: WorkitemState, change: Change) -> None:
    _clear(row)
    _step(session, row, state, change)


def shared_series(session: Session, uid: str, series_uids: Iterable[str]) -> set[str]:
    """Return those of the series that other open items ask for too."""
    others = select(Workitem.asked).where(Workitem.state.in_(OPEN), Workitem.uid != uid)
    named = {one["series_uid"] for asked in session.scalars(others) for one in asked["inputs"]}
    return named & set(series_uids)


def _locked(session: Session, uid: str) -> Workitem:
    return session.get_one(Workitem, uid, with_for_update=True, populate_existing=True)


def _clear(row: Workitem) -> None:
    row.attempts, row.trouble, row.troubled_since = 0, None, None


def _step(session: Session, row: Workitem, state: WorkitemState, change: Change) -> None:
    if row.series_uid is not None:
        move(session, row, state, change)
        return
    # No image is here, and so no chain.
    states.check("workitem", row.state, state)
    row.state = state
