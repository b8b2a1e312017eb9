"""Storage commitment requests of modalities: which images they name, which of these are kept, and their answers.

A request is ``open`` until the modality took its answer (``answered``) or no longer can (``unanswerable``).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db.commitment import CommitmentAnswer, CommitmentRequest, SOPOutcome
from db.commitment_tables import Commitment, CommitmentReference
from db.states import CommitmentState
from db.tables import Instance

# SQLite takes at most 32,766 parameters in one statement.
MOST_PARAMETERS = 10_000


def kept_instances(session: Session, sop_uids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return (SOP Class UID, path) of every registered instance among ``sop_uids``."""
    found: dict[str, list[tuple[str, str]]] = {}
    for some in _parts(sop_uids):
        rows = session.execute(
            select(Instance.sop_uid, Instance.sop_class, Instance.path).where(
                Instance.sop_uid.in_(some), Instance.replaced_at.is_(None)
            )
        )
        for sop_uid, sop_class, path in rows:
            found.setdefault(sop_uid, []).append((sop_class, path))
    return found


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), MOST_PARAMETERS):
        yield values[start : start + MOST_PARAMETERS]


def record_commitment(session: Session, request: CommitmentRequest, failures: Mapping[str, int], now: datetime) -> int:
    """Keep a request with its outcome and return its id. The same transaction again is judged and answered anew."""
    row = session.scalar(
        select(Commitment)
        .where(Commitment.calling_ae == request.calling_ae, Commitment.transaction_uid == request.transaction_uid)
        .with_for_update()
    )
    if row is None:
        row = Commitment(
            transaction_uid=request.transaction_uid, calling_ae=request.calling_ae, receiving_ae=request.receiving_ae
        )
        session.add(row)
    row.state, row.attempts, row.due_at, row.reason = CommitmentState.OPEN, 0, now, None
    row.requested_at, row.answered_at = request.requested_at, None
    session.flush()
    session.execute(delete(CommitmentReference).where(CommitmentReference.commitment_id == row.id))
    session.add_all(
        CommitmentReference(commitment_id=row.id, sop_uid=uid, sop_class=sop_class, failure=failures.get(uid))
        for uid, sop_class in dict(request.references).items()
    )
    session.flush()
    return row.id


def due_answers(session: Session, now: datetime) -> list[CommitmentAnswer]:
    """Return the open requests whose answer is due."""
    rows = session.scalars(
        select(Commitment)
        .where(Commitment.state == CommitmentState.OPEN, Commitment.due_at <= now)
        .order_by(Commitment.id)
    ).all()
    return [_answer(session, row) for row in rows]


def open_answer(session: Session, calling_ae: str, transaction_uid: str) -> CommitmentAnswer | None:
    """Return the answer to one request; None where it is not judged yet, or answered already."""
    row = session.scalar(
        select(Commitment).where(
            Commitment.calling_ae == calling_ae,
            Commitment.transaction_uid == transaction_uid,
            Commitment.state == CommitmentState.OPEN,
        )
    )
    return _answer(session, row) if row is not None else None


def _answer(session: Session, row: Commitment) -> CommitmentAnswer:
    references = session.scalars(
        select(CommitmentReference)
        .where(CommitmentReference.commitment_id == row.id)
        .order_by(CommitmentReference.sop_uid)
    )
    return CommitmentAnswer(
        commitment_id=row.id,
        transaction_uid=row.transaction_uid,
        calling_ae=row.calling_ae,
        receiving_ae=row.receiving_ae,
        attempts=row.attempts,
        requested_at=row.requested_at,
        outcomes=tuple(SOPOutcome(r.sop_uid, r.sop_class, r.failure) for r in references),
    )


def answered(session: Session, commitment_id: int, now: datetime) -> None:
    """Note that the modality took the answer."""
    row = session.get_one(Commitment, commitment_id, with_for_update=True)
    row.state, row.answered_at, row.reason = CommitmentState.ANSWERED, now, None


def answer_later(session: Session, commitment_id: int, reason: str, due_at: datetime) -> None:
    """Note that the answer was not taken; it is due again at ``due_at``."""
    row = session.get_one(Commitment, commitment_id, with_for_update=True)
    row.attempts, row.reason, row.due_at = row.attempts + 1, reason, due_at


def give_up_answer(session: Session, commitment_id: int, reason: str) -> None:
    """Note that the answer cannot be delivered, with the reason."""
    row = session.get_one(Commitment, commitment_id, with_for_update=True)
    if row.state == CommitmentState.OPEN:
        row.state, row.reason = CommitmentState.UNANSWERABLE, reason


def is_committed(session: Session, series_uid: str) -> bool:
    """Whether one request named, and found kept, every current instance of a series."""
    current = (Instance.series_uid == series_uid) & Instance.replaced_at.is_(None)
    instances = session.scalar(select(func.count()).where(current)) or 0
    most = session.scalar(
        select(func.count())
        .select_from(CommitmentReference)
        .join(Instance, Instance.sop_uid == CommitmentReference.sop_uid)
        .join(Commitment, Commitment.id == CommitmentReference.commitment_id)
        .where(current, CommitmentReference.failure.is_(None), Commitment.requested_at >= Instance.received_at)
        .group_by(CommitmentReference.commitment_id)
        .order_by(func.count().desc())
        .limit(1)
    )
    return instances > 0 and most == instances
