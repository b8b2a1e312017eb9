"""Signs of life of the workers, one row for each queue; as with the leader's row nobody compares two clocks."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.process_tables import Heartbeat


def note_heartbeat(session: Session, queue: str, who: str, now: datetime) -> None:
    """Raise the beat of a queue: a worker has just taken a message from it, or is at work on one."""
    values = {"who": who, "beat": Heartbeat.beat + 1, "beat_at": now}
    statement = update(Heartbeat).where(Heartbeat.queue == queue).values(values)
    session.execute(statement, execution_options={"synchronize_session": False})


def heartbeats(session: Session) -> dict[str, int]:
    """Return the beat of each queue; a worker is alive while it grows."""
    return {row.queue: row.beat for row in session.execute(select(Heartbeat.queue, Heartbeat.beat))}
