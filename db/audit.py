"""Reads what happened: the status of every series, the auditors' views, the trail of one series."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, column, func, or_, select, table, text
from sqlalchemy.orm import Session

from db.finding_tables import QualityFlag
from db.series_status import DeliveryStatus, SeriesStatus, Wanted, series_by_state, status
from db.tables import Event, Instance

__all__ = [
    "Asked",
    "DeliveryStatus",
    "SeriesStatus",
    "SpoolRate",
    "Wanted",
    "results",
    "series_by_state",
    "spool_rate",
    "status",
    "trail",
]
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


@dataclass(frozen=True)
class Asked:
    """Which results or events are asked for: all conditions that are set hold.

    ``since`` is when a result was assessed, or an event happened; ``code`` that of an event, and for results also that
    of the job or of a quality flag.
    """

    patient_id: str | None = None
    study_uid: str | None = None
    since: datetime | None = None
    code: str | None = None


ALL = Asked()


def results(
    session: Session, series_uid: str | None = None, superseded: bool = False, asked: Asked = ALL
) -> list[dict[str, Any]]:
    """Return the rows of the view ``audit_result`` that are asked for, newest first; of one series, or of all.

    With ``superseded`` those of ``audit_every_result``, which also has the results that newer ones supersede.
    """
    names = ("series_uid", "study_uid", "patient_id", "job_id", "code", "assessed_at")
    view = table("audit_every_result" if superseded else "audit_result", *map(column, names))
    query = select(text("*")).select_from(view).order_by(view.c.job_id.desc())
    for key, value in (("series_uid", series_uid), ("patient_id", asked.patient_id), ("study_uid", asked.study_uid)):
        if value is not None:
            query = query.where(view.c[key] == value)
    if asked.patient_id is not None:
        # By the index of images: the view has the patient of a job only once it has gathered its images.
        query = query.where(view.c.series_uid.in_(_series_of(asked.patient_id)))
    if asked.since is not None:
        query = query.where(view.c.assessed_at >= _as_shown(session, asked.since))
    if asked.code is not None:
        flagged = select(QualityFlag.job_id).where(QualityFlag.code == asked.code)
        happened = select(Event.series_uid).where(Event.code == asked.code)
        bears = (view.c.code == asked.code, view.c.job_id.in_(flagged), view.c.series_uid.in_(happened))
        query = query.where(or_(*bears))
    return _rows(session, query)


def trail(session: Session, series_uid: str | None = None, asked: Asked = ALL) -> list[dict[str, Any]]:
    """Return the rows of the view ``audit_trail`` that are asked for, oldest first; of one series, or of all."""
    view = table("audit_trail", *map(column, ("event_id", "series_uid", "study_uid", "sequence", "at", "code")))
    query = select(text("*")).select_from(view)
    for key, value in (("series_uid", series_uid), ("study_uid", asked.study_uid), ("code", asked.code)):
        if value is not None:
            query = query.where(view.c[key] == value)
    if asked.patient_id is not None:
        query = query.where(view.c.series_uid.in_(_series_of(asked.patient_id)))
    if asked.since is not None:
        query = query.where(view.c.at >= _as_shown(session, asked.since))
    return _rows(session, query.order_by(view.c.sequence if series_uid else view.c.event_id))


def _series_of(patient_id: str) -> Select[Any]:
    return select(Instance.series_uid).where(Instance.patient_id == patient_id)


def _as_shown(session: Session, time: datetime) -> datetime | str:
    """Return a time as the views have it: SQLite's have text, in UTC and to the microsecond."""
    if session.get_bind().dialect.name == "sqlite":
        return time.astimezone(UTC).isoformat(timespec="microseconds")
    return time


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
