"""Goes through all series of a site, some at a time, and tells every fault."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, union
from sqlalchemy.orm import Session, sessionmaker

from db.engine import snapshot
from db.tables import Event, Series
from db.tracking.verification import judge, result_files, rows, strays
from db.tracking.verification.anchors import Anchors
from db.tracking.verification.rows import SeriesRows

AT_A_TIME = 100
NO_ANCHORS = Anchors()


@dataclass(frozen=True)
class Fault:
    """One contradiction; ``series_uid`` None where it is of no series."""

    series_uid: str | None
    fault: str


@dataclass(frozen=True)
class Verified:
    """What was compared, and what was found; ``anchored_at`` is the time of the last anchor, None without any.

    ``in_store`` counts the series of which files lie in the object store instead of here: they were not compared.
    """

    series: int
    events: int
    anchored_at: datetime | None
    faults: tuple[Fault, ...]
    in_store: int = 0


def verify_site(sessions: sessionmaker[Session], anchors: Anchors = NO_ANCHORS, with_files: bool = True) -> Verified:
    """Compare all rows with their events, these with the anchors and, ``with_files``, the results with their files.

    Each hundred series is read in a snapshot of its own, so work may go on meanwhile. The anchors must have been read
    before: rows are then as new as they or newer.
    """
    with snapshot(sessions) as session:
        known = union(select(Series.uid), select(Event.series_uid)).subquery()
        uids = sorted({*session.scalars(select(known)), *anchors.heads})
        found = [Fault(None, fault) for fault in strays.faults(session)]
    events, in_store = 0, 0
    for start in range(0, len(uids), AT_A_TIME):
        with snapshot(sessions) as session:
            for one in rows.read(session, uids[start : start + AT_A_TIME]):
                events += len(one.events)
                in_store += result_files.is_in_store(one)
                found += [Fault(one.uid, fault) for fault in _faults(one, anchors, with_files)]
    return Verified(len(uids), events, anchors.at, tuple(found), in_store)


def verify_series(session: Session, series_uid: str, anchors: Anchors = NO_ANCHORS) -> str | None:
    """Return None where events, rows and files of a series fit together, else a sentence that names the first fault."""
    (one,) = rows.read(session, [series_uid])
    return next(_faults(one, anchors, with_files=True), None)


def _faults(one: SeriesRows, anchors: Anchors, with_files: bool) -> Iterator[str]:
    yield from judge.faults(one, anchors.heads.get(one.uid))
    if with_files:
        yield from result_files.faults(one)
