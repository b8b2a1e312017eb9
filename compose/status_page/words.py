"""The words of the page for what rows hold."""

from collections.abc import Mapping
from typing import Final

from compose.patterns import PATTERNS
from db.audit import SeriesStatus
from db.states import DeliveryState, JobState, SeriesState
from db.tables import Delivery, Event

STATES: Final[Mapping[str, str]] = {
    SeriesState.RECEIVING: "images are coming in",
    JobState.QUEUED: "waits for a worker",
    JobState.RUNNING: "being measured",
    JobState.REVIEW: "waits for a person",
    JobState.FAILED: "failed",
    JobState.REJECTED: "refused",
    SeriesState.INCOMPLETE: "not whole",
    JobState.ENCODED: "measured, being sent",
    JobState.DELIVERED: "delivered",
    SeriesState.COMPLETE: "whole, no job yet",
    SeriesState.SKIPPED: "left out by rule",
    JobState.DISCARDED: "discarded",
    JobState.SUPERSEDED: "superseded",
}
# Those that a person should look at.
TROUBLED: Final = (JobState.REVIEW, JobState.FAILED, JobState.REJECTED, SeriesState.INCOMPLETE)
KINDS: Final[Mapping[str, str]] = {
    "seg": "SEG, disease",
    "lungs": "SEG, lungs",
    "sr": "SR, numbers",
    "page": "page",
    "pdf": "PDF",
    "key_images": "key images",
    "picture": "picture",
}
REGIONS: Final[Mapping[str, str]] = {"total": "all disease", **PATTERNS}


def state_of(exam: SeriesStatus) -> str:
    """Return where a series stands; a result that nobody is to get lies in the folder, and that is its end."""
    is_kept = exam.state == JobState.ENCODED and not exam.deliveries
    return "measured, sent nowhere" if is_kept else STATES[exam.state]


def said_of(delivery: Delivery) -> str:
    """Return how far an object is with its destination."""
    if delivery.state == DeliveryState.SENT:
        return "sent, proof open" if delivery.proof_due_at else "sent, not proven"
    plainly = {DeliveryState.FAILED: "dead letter", DeliveryState.PENDING: "to be sent"}
    return plainly.get(delivery.state, "proven")


def happened(event: Event) -> str:
    """Return what an event says; of a change of state its code is said beside it."""
    what = "" if event.subject == "series" else f"{event.subject} {event.subject_id}: "
    if event.from_state != event.to_state:
        return f"{what}{event.from_state or 'new'} → {event.to_state}"
    told = event.detail.get("stage") or event.detail.get("shown")
    return f"{what}{plain(event.code or event.to_state)}{f': {told}' if told else ''}"


def plain(code: str) -> str:
    """Return a code as words."""
    return code.replace("_", " ")
