"""Storage commitment as values: the request of a modality and the answer to it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


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
