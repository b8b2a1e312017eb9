"""The states, and the arrows between them.

series      receiving → complete | incomplete | skipped       complete | incomplete | skipped → receiving (late images)
                                                          incomplete → receiving (sent again after a break)
job         queued → running → encoded → delivered
            running → queued (again) | rejected | review | failed        encoded → failed
            delivered → encoded (an object of it has to be sent again)
            superseded → queued (its images are the current ones again, or a worker knows its own job better)
            by an operator: review → encoded (release)    review | failed → discarded    failed → queued (retry)
            queued | running | encoded → discarded (who asked for it asks to cancel, and nothing was delivered)
            failed | review | rejected → queued (recompute)              any but superseded → superseded
delivery    pending → sent → committed             pending → failed → pending (by an operator)
            sent → pending (the archive does not have it) | failed (nor after several times)
workitem    claiming → working → completing → completed       working → canceling → canceled
            working | completing | canceling → lost (the worklist says that it is not ours)
            Its events begin with ``working``, once a series is here that they can stand with.
commitment  open → answered | unanswerable, without events: the rows of a request tell its whole story
"""

from enum import StrEnum
from typing import Final

from db.errors import IllegalTransition


class SeriesState(StrEnum):
    """Where a series stands with its images."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    SKIPPED = "skipped"


# The code of a series whose last association broke off. The same images sent again open such a series again, for an
# association that then ends by release says that these are all.
ASSOCIATION_BROKEN_OFF = "association_broken_off"


class JobState(StrEnum):
    """Where an assessment stands."""

    QUEUED = "queued"
    RUNNING = "running"
    ENCODED = "encoded"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    REVIEW = "review"
    FAILED = "failed"
    DISCARDED = "discarded"
    SUPERSEDED = "superseded"


class DeliveryState(StrEnum):
    """Where one object stands with one destination."""

    PENDING = "pending"
    SENT = "sent"
    COMMITTED = "committed"
    FAILED = "failed"


class WorkitemState(StrEnum):
    """Where an item of a worklist stands that the site performs."""

    CLAIMING = "claiming"
    WORKING = "working"
    COMPLETING = "completing"
    CANCELING = "canceling"
    COMPLETED = "completed"
    CANCELED = "canceled"
    LOST = "lost"


class CommitmentState(StrEnum):
    """Where the answer to a modality's storage commitment request stands."""

    OPEN = "open"
    ANSWERED = "answered"
    UNANSWERABLE = "unanswerable"


class OutputKind(StrEnum):
    """What a file written by a job is."""

    SEG = "seg"
    LUNGS = "lungs"
    SR = "sr"
    PICTURE = "picture"
    PAGE = "page"
    PDF = "pdf"
    KEY_IMAGES = "key_images"


# A picture is for the folder alone.
DELIVERED_KINDS: Final = tuple(kind for kind in OutputKind if kind is not OutputKind.PICTURE)


ARROWS: Final[dict[str, frozenset[tuple[str | None, str]]]] = {
    "series": frozenset(
        {(None, SeriesState.RECEIVING)}
        | {(SeriesState.RECEIVING, closed) for closed in SeriesState if closed != SeriesState.RECEIVING}
        | {(closed, SeriesState.RECEIVING) for closed in SeriesState if closed != SeriesState.RECEIVING}
    ),
    "job": frozenset(
        {
            (None, JobState.QUEUED),
            (JobState.QUEUED, JobState.RUNNING),
            (JobState.RUNNING, JobState.QUEUED),
            (JobState.RUNNING, JobState.ENCODED),
            (JobState.RUNNING, JobState.REJECTED),
            (JobState.RUNNING, JobState.REVIEW),
            (JobState.RUNNING, JobState.FAILED),
            (JobState.ENCODED, JobState.DELIVERED),
            (JobState.ENCODED, JobState.FAILED),
            (JobState.DELIVERED, JobState.ENCODED),
            (JobState.FAILED, JobState.QUEUED),
            (JobState.REVIEW, JobState.QUEUED),
            (JobState.SUPERSEDED, JobState.QUEUED),
            (JobState.REJECTED, JobState.QUEUED),
            (JobState.REVIEW, JobState.ENCODED),
            (JobState.REVIEW, JobState.DISCARDED),
            (JobState.FAILED, JobState.DISCARDED),
            (JobState.QUEUED, JobState.DISCARDED),
            (JobState.RUNNING, JobState.DISCARDED),
            (JobState.ENCODED, JobState.DISCARDED),
        }
        | {(state, JobState.SUPERSEDED) for state in JobState if state != JobState.SUPERSEDED}
    ),
    "delivery": frozenset(
        {
            (None, DeliveryState.PENDING),
            (DeliveryState.PENDING, DeliveryState.SENT),
            (DeliveryState.SENT, DeliveryState.COMMITTED),
            (DeliveryState.SENT, DeliveryState.PENDING),
            (DeliveryState.SENT, DeliveryState.FAILED),
            (DeliveryState.PENDING, DeliveryState.FAILED),
            (DeliveryState.FAILED, DeliveryState.PENDING),
        }
    ),
    "workitem": frozenset(
        {
            (None, WorkitemState.WORKING),
            (WorkitemState.CLAIMING, WorkitemState.WORKING),
            (WorkitemState.WORKING, WorkitemState.COMPLETING),
            (WorkitemState.WORKING, WorkitemState.CANCELING),
            (WorkitemState.COMPLETING, WorkitemState.COMPLETED),
            (WorkitemState.CANCELING, WorkitemState.CANCELED),
        }
        | {
            (state, WorkitemState.LOST)
            for state in (WorkitemState.WORKING, WorkitemState.COMPLETING, WorkitemState.CANCELING)
        }
    ),
}


def check(subject: str, from_state: str | None, to_state: str) -> None:
    """Raise :class:`IllegalTransition` unless the machine of ``subject`` has the arrow."""
    if (from_state, to_state) not in ARROWS[subject]:
        raise IllegalTransition(f"a {subject} cannot go from {from_state} to {to_state}")
