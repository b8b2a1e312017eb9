"""The words of the page for what rows hold."""

from collections.abc import Mapping
from typing import Final

from db.states import JobState, SeriesState

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
REGIONS: Final[Mapping[str, str]] = {
    "total": "all disease",
    "ggo": "ground glass",
    "reticulation": "reticulation",
    "consolidation": "consolidation",
}


def plain(code: str) -> str:
    """Return a code as words."""
    return code.replace("_", " ")
