"""Reads what happened: the status of every series, the auditors' views, the trail of one series."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, column, func, select, table, text
from sqlalchemy.orm import Session

from db.series_status import DeliveryStatus, SeriesStatus, Wanted, status
from db.tables import Instance

__all__ = ["DeliveryStatus", "SeriesStatus", "SpoolRate", "Wanted", "results", "spool_rate", "status", "trail"]
RATE_OVER = timedelta(days=7)
TIME_COLUMNS = frozenset({"at", "received_at", "assessed_at", "delivered_at", "committed_at"})


@dataclass(frozen=True)
class SpoolRate:
    """Bytes a day that came into the spool and that left it, over the last week, or less where there are fewer days."""

    came: float
    left: float


def spool_rate(session: Session, now: datetime) -> SpoolRate | None:
    """Return how fast the spool grows; None before a day of receiving has passed."""
    first = session.scalar(select(func.min(Instance.received_at)))
    if first is None or now - first < timedelta(days=1):
        return None
    since = max(first, now - RATE_OVER)
    days = (now - since) / timedelta(days=1)
    total = func.coalesce(func.sum(Instance.size_bytes), 0)
    came = session.scalar(select(total).where(Instance.received_at >= since)) or 0
    left = session.scalar(select(total).where(Instance.removed_at >= since)) or 0
    return SpoolRate(float(came) / days, float(left) / days)


def results(
    session: Session, series_uid: str | None = None, patient_id: str | None = None, superseded: bool = False
) -> list[dict[str, Any]]:
    """Return the rows of the view ``audit_result``, newest first: of one series, of one patient, or all.

    With ``superseded`` those of ``audit_every_result``, which also has the results that newer ones supersede.
    """
    name = "audit_every_result" if superseded else "audit_result"
    view = table(name, *(column(name) for name in ("series_uid", "patient_id", "job_id")))
    query = select(text("*")).select_from(view).order_by(view.c.job_id.desc())
    for key, value in (("series_uid", series_uid), ("patient_id", patient_id)):
        if value is not None:
            query = query.where(view.c[key] == value)
    return _rows(session, query)


def trail(session: Session, series_uid: str) -> list[dict[str, Any]]:
    """Return the rows of the view ``audit_trail`` for one series, oldest first."""
    view = table("audit_trail", column("series_uid"), column("sequence"))
    query = select(text("*")).select_from(view).where(view.c.series_uid == series_uid)
    return _rows(session, query.order_by(view.c.sequence))


def _rows(session: Session, query: Select[Any]) -> list[dict[str, Any]]:
    return [{name: _plain(name, value) for name, value in row.items()} for row in session.execute(query).mappings()]


def _plain(name: str, value: Any) -> Any:
    """Return a value of a view with its type: SQLite's views have no column types and return times and JSON as text."""
    if name == "detail" and isinstance(value, str):
        return json.loads(value)
    return _utc(value) if name in TIME_COLUMNS else value


def _utc(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
