"""The row that says which of several schedulers leads; another takes it over once the leader's beat has stopped.

No two clocks are compared: a waiting scheduler measures by its own clock how long the beat has stood still.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from db.process_tables import Leader

SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Leadership:
    """The holder of the row, or None, and its beat; ``beat_at`` is the time of the last beat by the holder's clock."""

    holder: str | None
    beat: int
    beat_at: datetime | None


def leadership(session: Session) -> Leadership:
    """Return the row as it is now."""
    row = session.execute(select(Leader.holder, Leader.beat, Leader.beat_at).where(Leader.name == SCHEDULER)).one()
    return Leadership(row.holder, row.beat, row.beat_at)


def take_over(session: Session, seen: Leadership, holder: str, now: datetime) -> bool:
    """Take the row; False where it has changed since ``seen``: the holder has beaten, or another scheduler took it."""
    unchanged = (Leader.holder.is_not_distinct_from(seen.holder), Leader.beat == seen.beat)
    return _update(session, unchanged, {"holder": holder, "beat": seen.beat + 1, "beat_at": now})


def beat(session: Session, holder: str, now: datetime) -> bool:
    """Raise the beat of the holder; False where another scheduler has taken over."""
    return _update(session, (Leader.holder == holder,), {"beat": Leader.beat + 1, "beat_at": now})


def resign(session: Session, holder: str) -> bool:
    """Give the row back, so that another scheduler can take it at once; False where another holds it already."""
    return _update(session, (Leader.holder == holder,), {"holder": None})


def _update(session: Session, where: tuple[Any, ...], values: dict[str, Any]) -> bool:
    statement = update(Leader).where(Leader.name == SCHEDULER, *where).values(values)
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast(CursorResult[Any], result).rowcount == 1
