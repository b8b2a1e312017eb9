"""Which of several schedulers works: a row that one holds, and that another takes over once its beat has stopped.

No clock is compared with another: whoever waits sees by its own clock how long the beat has stood still.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from db.tables import Leader

SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Leadership:
    """Who holds the row, None where nobody does, and its beat; ``beat_at`` is the time of it by the holder's clock."""

    holder: str | None
    beat: int
    beat_at: datetime | None


def leadership(session: Session) -> Leadership:
    """Return who leads now."""
    row = session.execute(select(Leader.holder, Leader.beat, Leader.beat_at).where(Leader.name == SCHEDULER)).one()
    return Leadership(row.holder, row.beat, row.beat_at)


def take_over(session: Session, seen: Leadership, holder: str, now: datetime) -> bool:
    """Take the row from whoever was ``seen`` with it; False where that one has beaten since, or another was quicker."""
    unchanged = (Leader.holder.is_not_distinct_from(seen.holder), Leader.beat == seen.beat)
    return _update(session, unchanged, {"holder": holder, "beat": seen.beat + 1, "beat_at": now})


def beat(session: Session, holder: str, now: datetime) -> bool:
    """Show that the holder lives; False where another has taken over."""
    return _update(session, (Leader.holder == holder,), {"beat": Leader.beat + 1, "beat_at": now})


def resign(session: Session, holder: str) -> bool:
    """Leave the row to whoever comes first; False where another holds it."""
    return _update(session, (Leader.holder == holder,), {"holder": None})


def _update(session: Session, where: tuple[Any, ...], values: dict[str, Any]) -> bool:
    statement = update(Leader).where(Leader.name == SCHEDULER, *where).values(values)
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return cast(CursorResult[Any], result).rowcount == 1
