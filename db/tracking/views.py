"""Notes who has looked at a series: an event in its chain, which changes nothing else."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Series
from db.tracking.events import Change, note


def viewed(session: Session, series_uids: Collection[str], who: str, now: datetime, shown: str) -> None:
    """Append ``viewed`` to each series that is known; ``shown`` says what was seen of the patient."""
    for series in session.scalars(select(Series).where(Series.uid.in_(series_uids)).order_by(Series.uid)):
        note(session, series, Change(who, now, "viewed", {"shown": shown}))
