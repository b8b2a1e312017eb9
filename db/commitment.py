"""Storage commitment as values: what a modality asked for, and what it is to be told."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CommitmentRequest:
    """What a modality asked for: ``references`` are pairs (SOP Instance UID, SOP Class UID)."""

    transaction_uid: str
    calling_ae: str
    receiving_ae: str
    references: tuple[tuple[str, str], ...]
    requested_at: datetime


@dataclass(frozen=True)
class CommitmentAnswer:
    """What is to be answered: triples (SOP Instance UID, SOP Class UID, failure reason or None where it is kept)."""

    commitment_id: int
    transaction_uid: str
    calling_ae: str
    receiving_ae: str
    attempts: int
    requested_at: datetime
    outcomes: tuple[tuple[str, str, int | None], ...]
