"""What an operator may do with a series as it stands; the rows have the last word (:mod:`db.tracking.operators`)."""

from dataclasses import dataclass

from db.audit import SeriesStatus
from db.states import DeliveryState, JobState, SeriesState


@dataclass(frozen=True)
class Action:
    """One button: ``verb`` is the last part of its address; ``asks`` is what is to be confirmed, empty for nothing."""

    verb: str
    label: str
    says: str
    asks: str = ""


RETRY = Action("retry", "Retry", "Queue it again, or send at once what waits to be sent.")
RELEASE = Action(
    "release",
    "Release",
    "Send the stored result as it is.",
    "The result goes to the archives as it is stored, though its numbers were held back. You stand for it.",
)
DISCARD = Action(
    "discard", "Discard", "End it for good; nothing is sent.", "This cannot be undone: the result is never sent."
)
RECOMPUTE = Action(
    "recompute",
    "Recompute",
    "Compute it anew from its images.",
    "What it left behind is not used again; the digests of its files stay in the trail.",
)
RECONSIDER = Action("reconsider", "Reconsider", "Judge it anew by the rules that the scheduler has now.")
UNSENT = (DeliveryState.PENDING, DeliveryState.FAILED)
OF_STATE = {
    JobState.REVIEW: (RELEASE, DISCARD, RECOMPUTE),
    JobState.FAILED: (RETRY, RECOMPUTE, DISCARD),
    JobState.REJECTED: (RECOMPUTE,),
    SeriesState.SKIPPED: (RECONSIDER,),
}


def of(exam: SeriesStatus) -> tuple[Action, ...]:
    """Return what may be done."""
    if exam.state in (JobState.ENCODED, JobState.DELIVERED):
        return (RETRY,) if any(one.state in UNSENT for one in exam.deliveries) else ()
    return OF_STATE.get(exam.state, ())  # type: ignore[call-overload,no-any-return]
