"""Storage commitment as values: what a modality asked for, and what it is to be told."""

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
    """What a modality asked for."""

    transaction_uid: str
    calling_ae: str
    receiving_ae: str
    references: tuple[SOPReference, ...]
    requested_at: datetime


@dataclass(frozen=True)
class CommitmentAnswer:
    """What is to be answered."""

    commitment_id: int
    transaction_uid: str
    calling_ae: str
    receiving_ae: str
    attempts: int
    requested_at: datetime
    outcomes: tuple[SOPOutcome, ...]
