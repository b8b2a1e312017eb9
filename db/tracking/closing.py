"""The series that are being received: what the rows say for judging them, and how they are closed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.errors import UnknownSubject
from db.image_plane import ImagePlane
from db.states import SeriesState
from db.tables import Instance, Series
from db.tracking.commitments import is_committed
from db.tracking.events import Change, lock_series, move
from db.tracking.retention import not_sent_again

WHO = "dicom_node"


@dataclass(frozen=True)
class ReceivingSeries:
    """A series in state ``receiving`` with what the rows say for judging it; ``planes`` are those of current instances.

    ``committed``: one storage commitment request named every current instance. ``not_sent_again``: so many images of
    its current job were removed after their retention and have not come again.
    """

    series_uid: str
    study_uid: str
    first_arrival_at: datetime
    last_arrival_at: datetime
    planes: tuple[ImagePlane | None, ...]
    committed: bool = False
    not_sent_again: int = 0


def open_series(session: Session) -> dict[str, datetime]:
    """Return when the last image came of every series in state ``receiving``."""
    rows = session.execute(select(Series.uid, Series.last_arrival_at).where(Series.state == SeriesState.RECEIVING))
    return {uid: last_arrival_at for uid, last_arrival_at in rows}


def series_to_judge(session: Session, series_uid: str) -> ReceivingSeries | None:
    """Return what is known of a series in state ``receiving``; None where it was closed meanwhile."""
    row = session.get(Series, series_uid)
    if row is None or row.state != SeriesState.RECEIVING:
        return None
    return ReceivingSeries(
        series_uid=row.uid,
        study_uid=row.study_uid,
        first_arrival_at=row.first_arrival_at,
        last_arrival_at=row.last_arrival_at,
        planes=_planes(session, row.uid),
        committed=is_committed(session, row.uid),
        not_sent_again=not_sent_again(session, row.uid),
    )


def _planes(session: Session, series_uid: str) -> tuple[ImagePlane | None, ...]:
    kept = session.scalars(
        select(Instance.plane).where(
            Instance.series_uid == series_uid, Instance.replaced_at.is_(None), Instance.removed_at.is_(None)
        )
    )
    return tuple(ImagePlane.from_json(plane) if plane else None for plane in kept)


def close_series(
    session: Session, series_uid: str, state: str, code: str, detail: dict[str, Any], now: datetime
) -> None:
    """Set a series to complete or incomplete, with the evidence in ``code`` and ``detail``.

    Raises
    ------
    UnknownSubject
        No such series.
    IllegalTransition
        The series was closed already.
    """
    lock_series(session, series_uid)
    series = session.get(Series, series_uid, populate_existing=True)
    if series is None:
        raise UnknownSubject(f"no series {series_uid} is tracked")
    series.code, series.detail = code, detail
    move(session, series, state, Change(WHO, now, code, detail))
