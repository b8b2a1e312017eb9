"""How far a series is on its way from scanner to archive."""

from dataclasses import dataclass

from db.audit import SeriesStatus
from db.states import DeliveryState, JobState, SeriesState

STEPS = ("received", "whole", "measured", "sent", "proven")
# What a step is called where a series stopped at it.
NOT_TAKEN = {"whole": "not whole", "measured": "not measured", "sent": "not sent"}
STOPPED = (JobState.REJECTED, JobState.REVIEW, JobState.FAILED, SeriesState.INCOMPLETE)
OVER = (SeriesState.SKIPPED, JobState.DISCARDED)
MEASURED = (JobState.ENCODED, JobState.DELIVERED, JobState.REVIEW)


@dataclass(frozen=True)
class Step:
    """One step: ``done``, ``now``, ``stopped`` or ``ahead``."""

    name: str
    place: str


def way(exam: SeriesStatus) -> tuple[Step, ...]:
    """Return the steps of a series."""
    done = _done(exam)
    here = "stopped" if exam.state in STOPPED else "ahead" if _rests(exam) else "now"
    places = ("done",) * done + (here,) + ("ahead",) * len(STEPS)
    return tuple(
        Step(NOT_TAKEN.get(name, name) if place == "stopped" else name, place)
        for name, place in zip(STEPS, places, strict=False)
    )


def _rests(exam: SeriesStatus) -> bool:
    """Whether nothing goes on any more, though the way is not at its end: an archive may be unable to prove."""
    is_sent = exam.state == JobState.DELIVERED and all(one.proof != "open" for one in exam.deliveries)
    is_kept = exam.state == JobState.ENCODED and not exam.deliveries
    return is_sent or is_kept or exam.state in OVER


def _done(exam: SeriesStatus) -> int:
    if exam.state == SeriesState.RECEIVING:
        return 0
    if exam.state in (SeriesState.INCOMPLETE, SeriesState.SKIPPED):
        return 1
    if exam.state not in MEASURED and not exam.extents_pct:
        return 2
    return 3 if exam.state != JobState.DELIVERED else 4 + _is_proven(exam)


def _is_proven(exam: SeriesStatus) -> bool:
    sent = [one for one in exam.deliveries if one.state != DeliveryState.FAILED]
    return bool(sent) and all(one.state == DeliveryState.COMMITTED for one in sent)
