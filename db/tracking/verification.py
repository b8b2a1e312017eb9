"""Compares the rows of a series, and the files of its results, with its events."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.tables import Delivery, Event, Job, Output, Series
from db.tracking.events import verify_chain
from db.tracking.seal import RESULTS_HASH, results_hash

RECOMPUTED, RESULTS_REMOVED = "recomputed", "results_removed"
LastEvents = dict[tuple[str, str], Event]


def verify_series(session: Session, series_uid: str) -> str | None:
    """Return None where events, rows and files of a series fit together, else a sentence that names the first fault.

    Who may write to the database can make a chain anew, with every hash in it: only a copy of it elsewhere shows that.
    """
    fault = verify_chain(session, series_uid)
    return fault or next(_faults(session, series_uid), None)


def _faults(session: Session, series_uid: str) -> Iterator[str]:
    events = session.scalars(select(Event).where(Event.series_uid == series_uid).order_by(Event.sequence)).all()
    last: LastEvents = {(event.subject, event.subject_id): event for event in events}
    series = session.get(Series, series_uid)
    jobs = session.scalars(select(Job).where(Job.series_uid == series_uid).order_by(Job.id)).all()
    deliveries = session.scalars(
        select(Delivery).where(Delivery.job_id.in_([job.id for job in jobs])).order_by(Delivery.id)
    ).all()
    rows: dict[tuple[str, str], str] = {("series", series_uid): series.state} if series else {}
    rows |= {("job", str(job.id)): job.state for job in jobs}
    rows |= {("delivery", str(delivery.id)): delivery.state for delivery in deliveries}
    yield from _of_states(rows, last)
    yield from _of_missing(set(last) - set(rows), events)
    for job in jobs:
        yield from _of_results(session, job, [e for e in events if (e.subject, e.subject_id) == ("job", str(job.id))])


def _of_states(rows: dict[tuple[str, str], str], last: LastEvents) -> Iterator[str]:
    for (subject, name), state in rows.items():
        event = last.get((subject, name))
        if event is None:
            yield f"{subject} {name} has no events"
        elif event.to_state != state:
            yield f"{subject} {name} is {state}, its last event says {event.to_state}"


def _of_missing(missing: set[tuple[str, str]], events: Sequence[Event]) -> Iterator[str]:
    """Name rows that only events know. Deliveries leave when a job is recomputed, and its event names them."""
    removed = [event.detail.get("deliveries") for event in events if event.code == RECOMPUTED]
    # Earlier versions did not name them.
    known = None in removed
    gone = {str(one) for named in removed for one in named or ()}
    for subject, name in sorted(missing):
        if subject != "delivery" or not (known or name in gone):
            yield f"the row of {subject} {name} is gone"


def _of_results(session: Session, job: Job, events: list[Event]) -> Iterator[str]:
    sealed = None
    for event in events:
        sealed = None if event.code == RECOMPUTED else event.detail.get(RESULTS_HASH, sealed)
    if sealed is not None and results_hash(session, job) != sealed:
        yield f"numbers, outputs, images or patient of job {job.id} were changed after it ended"
    if sealed is not None and RESULTS_REMOVED in {event.code for event in events[-1:]}:
        return
    for output in session.scalars(select(Output).where(Output.job_id == job.id).order_by(Output.id)):
        # Earlier versions wrote paths relative to a folder that is not known here.
        path = Path(output.path)
        if path.is_absolute() and (said := _of_file(path, output.digest)):
            yield f"the {output.kind} of job {job.id} {said}"


def _of_file(path: Path, digest: str) -> str | None:
    try:
        with path.open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if same else "was changed after it was written"
