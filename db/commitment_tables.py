"""The tables of storage commitment requests that modalities make of us (PS3.4 Annex J)."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.states import CommitmentState
from db.tables import ROW_ID, UID, Base, words


class Commitment(Base):
    """One storage commitment request of a modality (PS3.4 Annex J) and where its answer stands."""

    __tablename__ = "commitment"
    __table_args__ = (UniqueConstraint("calling_ae", "transaction_uid"),)
    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(UID)
    calling_ae: Mapped[str]
    receiving_ae: Mapped[str]
    state: Mapped[CommitmentState] = mapped_column(words(CommitmentState), index=True)
    attempts: Mapped[int]
    due_at: Mapped[datetime]
    reason: Mapped[str | None]
    requested_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class CommitmentReference(Base):
    """One image named by a commitment request; ``failure`` is the Failure Reason (0008,1197), None where it is kept."""

    __tablename__ = "commitment_reference"
    commitment_id: Mapped[int] = mapped_column(ForeignKey("commitment.id"), primary_key=True)
    sop_uid: Mapped[str] = mapped_column(UID, primary_key=True, index=True)
    sop_class: Mapped[str] = mapped_column(UID)
    failure: Mapped[int | None]
