"""Storage commitment as values: a request, the answer to one of a modality, and the report on one of ours."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class SOPReference(NamedTuple):
    """An image that a request names."""

    sop_uid: str
    sop_class: str


class SOPOutcome(NamedTuple):
    """What is answered for one image: ``failure`` is its Failure Reason (0008,1197), None where it is kept."""

    sop_uid: str
    sop_class: str
    failure: int | None


@dataclass(frozen=True)
class CommitmentRequest:
    """A storage commitment request: the images that a modality names, and its transaction UID."""

    transaction_uid: str
    calling_ae: str
    receiving_ae: str
    references: tuple[SOPReference, ...]
    requested_at: datetime


@dataclass(frozen=True)
class CommitmentAnswer:
    """The answer to a request: an outcome for each image."""

    commitment_id: int
    transaction_uid: str
    calling_ae: str
    receiving_ae: str
    attempts: int
    requested_at: datetime
    outcomes: tuple[SOPOutcome, ...]


@dataclass(frozen=True)
class CommitmentReport:
    """What an archive, by its AE title, reports on a request of ours."""

    transaction_uid: str
    archive_ae: str
    outcomes: tuple[SOPOutcome, ...]


def read_report(event_information: Any, archive_ae: str) -> CommitmentReport:
    """Return the report in the Event Information of an N-EVENT-REPORT, a pydicom Dataset (PS3.4 Table J.3-2).

    Raises AttributeError, TypeError or ValueError, as pydicom does, where it is malformed.
    """
    kept = event_information.get("ReferencedSOPSequence") or ()
    failed = event_information.get("FailedSOPSequence") or ()
    outcomes = [_outcome(item, None) for item in kept]
    outcomes += [_outcome(item, int(item.FailureReason)) for item in failed]
    return CommitmentReport(str(event_information.TransactionUID), archive_ae, tuple(outcomes))


def _outcome(item: Any, failure: int | None) -> SOPOutcome:
    return SOPOutcome(str(item.ReferencedSOPInstanceUID), str(item.ReferencedSOPClassUID), failure)
