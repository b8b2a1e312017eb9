"""Says what rows and events of one series contradict: values in, sentences out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row

from db.states import JobState
from db.tracking import subject_hash
from db.tracking.events import chain_fault
from db.tracking.seal import RESULTS_HASH, hash_of_results
from db.tracking.verification.rows import SeriesRows

RECOMPUTED = "recomputed"
# Between these and the next claim no job has numbers.
BEFORE_RESULTS: Final = frozenset({JobState.QUEUED, JobState.RUNNING})
ASSESSED: Final = frozenset({JobState.ENCODED, JobState.REVIEW})
Subject = tuple[str, str]
AnyRow = Row[Any]


def faults(rows: SeriesRows, heads: Mapping[int, str] | None = None) -> Iterator[str]:
    """Yield what is wrong; ``heads`` are the hashes of some of the events, by sequence, as they were anchored.

    A chain that is not whole is the only fault told of a series: what is compared with it would follow from it.
    """
    if broken := chain_fault(rows.uid, rows.events):
        yield broken
        return
    yield from _of_anchors(rows, heads or {})
    last = {(event.subject, event.subject_id): event for event in rows.events}
    current = _subjects(rows)
    yield from _of_states(current, last)
    yield from _of_missing(last.keys() - current.keys(), rows.events)
    yield from _of_arrows(rows.events)
    for job in rows.jobs:
        yield from _of_results(job, rows)
        yield from _of_what_is_asked_by(job, rows)
    yield from _of_rows(rows, current.keys() & last.keys(), last)


def _subjects(rows: SeriesRows) -> dict[Subject, str]:
    found: dict[Subject, str] = {("series", rows.uid): rows.series.state} if rows.series else {}
    found |= {("job", str(job.id)): job.state for job in rows.jobs}
    found |= {("workitem", one.uid): one.state for one in rows.workitems}
    return found | {("delivery", str(delivery.id)): delivery.state for delivery in rows.deliveries}


def _of_anchors(rows: SeriesRows, heads: Mapping[int, str]) -> Iterator[str]:
    for sequence, said in sorted(heads.items()):
        if sequence > len(rows.events):
            yield f"series {rows.uid} has {len(rows.events)} events, {sequence} were anchored"
        elif rows.events[sequence - 1].hash != said:
            yield f"event {sequence} of series {rows.uid} is not the one that was anchored"


def _of_states(current: Mapping[Subject, str], last: Mapping[Subject, AnyRow]) -> Iterator[str]:
    for (subject, name), state in current.items():
        event = last.get((subject, name))
        if event is None:
            yield f"{subject} {name} has no events"
        elif event.to_state != state:
            yield f"{subject} {name} is {state}, its last event says {event.to_state}"


def _of_missing(missing: set[Subject], events: Sequence[AnyRow]) -> Iterator[str]:
    """Name rows that only events know. Deliveries leave when a job is recomputed, and its event names them."""
    removed = [event.detail.get("deliveries") for event in events if event.code == RECOMPUTED]
    # Earlier versions did not name them.
    known = None in removed
    gone = {str(one) for named in removed for one in named or ()}
    for subject, name in sorted(missing):
        if subject != "delivery" or not (known or name in gone):
            yield f"the row of {subject} {name} is gone"


def _of_arrows(events: Sequence[AnyRow]) -> Iterator[str]:
    """Name events that do not begin where the one before ended. Ids of removed deliveries may be given again."""
    states: dict[Subject, AnyRow] = {}
    for event in events:
        before = states.get((event.subject, event.subject_id))
        begins = event.from_state is None and (before is None or event.subject == "delivery")
        # Earlier versions had other words for some states.
        if event.subject_hash is not None and not begins and not _follows(event, before):
            yield f"event {event.sequence} of series {event.series_uid} does not follow the one before it"
        states[event.subject, event.subject_id] = event


def _follows(event: AnyRow, before: AnyRow | None) -> bool:
    return before is not None and (before.subject_hash is None or event.from_state == before.to_state)


def _of_results(job: AnyRow, rows: SeriesRows) -> Iterator[str]:
    sealed, ended = None, False
    for event in rows.events:
        if (event.subject, event.subject_id) == ("job", str(job.id)):
            sealed = None if event.code == RECOMPUTED else event.detail.get(RESULTS_HASH, sealed)
            ended = event.code != RECOMPUTED and (ended or event.to_state not in BEFORE_RESULTS)
    result = rows.results[job.id]
    if sealed is not None and hash_of_results(job, result) != sealed:
        yield f"numbers, outputs, images or patient of job {job.id} were changed after it ended"
    elif result and not ended:
        yield f"job {job.id} has results, and no event says that it ended"


def _of_what_is_asked_by(job: AnyRow, rows: SeriesRows) -> Iterator[str]:
    """Compare what a job repeats of its images and events, which are sealed themselves."""
    images = rows.results[job.id].images
    own = [event for event in rows.events if (event.subject, event.subject_id) == ("job", str(job.id))]
    said = (
        min((image.patient_id for image in images), default=None),
        min((image.accession_number for image in images), default=None),
        len(images) or None,
        next((event.at for event in own if event.to_state in ASSESSED), None),
    )
    if said != (job.patient_id, job.accession_number, job.images, job.assessed_at):
        yield f"patient, number of images or time of job {job.id} are not those of its images and events"


def _of_rows(rows: SeriesRows, known: set[Subject], last: Mapping[Subject, AnyRow]) -> Iterator[str]:
    hashes = {("series", rows.uid): subject_hash.of_series(rows.series, rows.study, rows.images)}
    outputs = {output.id: output for result in rows.results.values() for output in result.outputs}
    for job in rows.jobs:
        model = rows.models.get(job.model_digest) if rows.results[job.id].measurements else None
        hashes["job", str(job.id)] = subject_hash.of_job(job, model)
    for one in rows.workitems:
        hashes["workitem", one.uid] = subject_hash.of_workitem(one)
    for one in rows.deliveries:
        hashes["delivery", str(one.id)] = subject_hash.of_delivery(one, outputs.get(one.output_id))
    for subject, name in sorted(known):
        said = last[subject, name].subject_hash
        if said is not None and said != hashes[subject, name]:
            yield f"the row of {subject} {name} was changed after its last event"
