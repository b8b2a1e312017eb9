"""Notes which series are not analysed, and returns the series of one study for the choice among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from db.states import JobState, SeriesState
from db.tables import Instance, Job, Series
from db.tracking.events import Change, lock_series, move
from db.tracking.statements import written_out

WHO = "dicom_node"
NOT_ELIGIBLE, BETTER_RECONSTRUCTION = "not_eligible", "better_reconstruction"


@dataclass(frozen=True)
class StudySeries:
    """One series of a study; ``job_state`` is that of its current job, None where it has none."""

    series_uid: str
    state: str
    facts: dict[str, Any] | None
    job_state: str | None


def study_series(session: Session, study_uid: str) -> list[StudySeries]:
    """Return the series of a study."""
    rows = session.scalars(select(Series).where(Series.study_uid == study_uid).order_by(Series.uid)).all()
    of_study = Job.series_uid.in_([row.uid for row in rows])
    states = session.execute(
        select(Job.series_uid, Job.state).where(of_study, Job.state != JobState.SUPERSEDED).order_by(Job.id)
    )
    jobs = {uid: state for uid, state in states}
    return [StudySeries(row.uid, row.state, row.facts, jobs.get(row.uid)) for row in rows]


def current_files(session: Session, series_uid: str) -> list[tuple[str, str]]:
    """Return (path, calling AE) of every current image of a series that is in the spool."""
    rows = session.execute(
        select(Instance.path, Instance.calling_ae).where(
            Instance.series_uid == series_uid, Instance.replaced_at.is_(None), Instance.removed_at.is_(None)
        )
    )
    return [(path, calling_ae) for path, calling_ae in rows]


def keep_facts(session: Session, series_uid: str, facts: dict[str, Any]) -> None:
    """Keep the facts of a series that the rules saw."""
    lock_series(session, series_uid)
    session.get_one(Series, series_uid).facts = facts


def skip_series(session: Session, series_uid: str, code: str, detail: dict[str, Any], now: datetime) -> None:
    """Set a series to ``skipped``, with the rule or the better series in ``detail``."""
    lock_series(session, series_uid)
    series = session.get_one(Series, series_uid, populate_existing=True)
    series.code, series.detail = code, detail
    move(session, series, SeriesState.SKIPPED, Change(WHO, now, code, detail))


def reconsidered(session: Session, now: datetime, since: datetime | None) -> Sequence[str]:
    """Open every series again that was skipped for a better one whose job was then rejected; return their UIDs.

    Jobs that were rejected before ``since`` are not looked at; None: all are.
    """
    chosen, aside = aliased(Series), aliased(Series)
    rows = session.execute(
        select(aside.uid, aside.detail, chosen.uid)
        .join(chosen, chosen.study_uid == aside.study_uid)
        .join(Job, Job.series_uid == chosen.uid)
        .where(aside.state == SeriesState.SKIPPED, aside.code == BETTER_RECONSTRUCTION)
        .where(Job.state == written_out(JobState.REJECTED), *([Job.updated_at >= since] if since else []))
        .order_by(aside.uid)
    ).all()
    uids = dict.fromkeys(uid for uid, detail, chosen_uid in rows if detail.get("chosen") == chosen_uid)
    for uid in uids:
        lock_series(session, uid)
        series = session.get_one(Series, uid, populate_existing=True)
        if series.state == SeriesState.SKIPPED:
            change = Change(WHO, now, "chosen_was_rejected", {"chosen": series.detail["chosen"]})
            move(session, series, SeriesState.RECEIVING, change)
    return list(uids)
