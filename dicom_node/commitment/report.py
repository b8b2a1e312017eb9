"""Answers to storage commitment requests: N-EVENT-REPORT on the modality's association or on one of ours."""

import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.address import ApplicationEntity
from db.tracking import CommitmentAnswer, CommitmentRequest
from dicom_node.commitment.same_association import SameAssociation
from dicom_node.errors import PeerAway

COMMITMENT_CLASS, COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")
logger = logging.getLogger(__name__)
POLL_S = 0.25
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5, 30
# So long an association that is still open may take the answer; after that nobody can.
SAME_ASSOCIATION_S = 120.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 3600.0
GIVE_UP = timedelta(days=2)
# Event types of the Storage Commitment Push Model (PS3.4 J.3.3.1.2).
ALL_COMMITTED, SOME_FAILED = 1, 2


def answer_on(association: SameAssociation, sessions: sessionmaker[Session], request: CommitmentRequest) -> None:
    """Wait for the outcome of a request and report it on the association that it came over, while that is open."""
    deadline = time.monotonic() + SAME_ASSOCIATION_S
    try:
        while association.is_open and time.monotonic() < deadline:
            if _answered_on(association, sessions, request):
                return
            time.sleep(POLL_S)
    finally:
        association.close()


def _answered_on(association: SameAssociation, sessions: sessionmaker[Session], request: CommitmentRequest) -> bool:
    try:
        with sessions.begin() as session:
            answer = tracking.open_answer(session, request.calling_ae, request.transaction_uid)
        if answer is None:
            return False
        kind, report = event_report(answer)
        if association.report(COMMITMENT_CLASS, COMMITMENT_INSTANCE, kind, report) != 0x0000:
            return False
        with sessions.begin() as session:
            tracking.answered(session, answer.commitment_id, datetime.now(UTC))
    except OperationalError:
        logger.debug("commitment not answered yet, database away")
        return False
    except PeerAway:
        # The reporter writes it into the row when its time is up.
        return False
    _note(answer, kind)
    return True


@dataclass(frozen=True)
class Callback:
    """Where a modality takes its answers, and by which TLS, if any."""

    application_entity: ApplicationEntity
    tls: ssl.SSLContext | None = None


class Reporter:
    """Sends answers over associations of our own to the modalities whose address is known."""

    def __init__(self, sessions: sessionmaker[Session], callbacks: Mapping[str, Callback]) -> None:
        self._sessions = sessions
        self._callbacks = callbacks

    def run(self, stop: Event) -> None:
        """Answer what is due until ``stop`` is set."""
        while not stop.wait(POLL_S):
            try:
                self.tick(datetime.now(UTC))
            except SQLAlchemyError as error:
                # Of a database that is away the watcher tells.
                logger.debug("commitments not answered", extra={"error": type(error).__name__})
                stop.wait(FIRST_PAUSE_S)

    def tick(self, now: datetime) -> None:
        """Answer once whatever is due."""
        with self._sessions.begin() as session:
            due = tracking.due_answers(session, now)
        for answer in due:
            callback = self._callbacks.get(answer.calling_ae)
            if callback is not None:
                self._call(callback, answer, now)
            elif now - answer.requested_at > timedelta(seconds=SAME_ASSOCIATION_S):
                self._give_up(answer, "the association ended, and the site file has no address to answer to")

    def _call(self, callback: Callback, answer: CommitmentAnswer, now: datetime) -> None:
        try:
            report_to(callback, answer)
        except PeerAway as error:
            if now - answer.requested_at > GIVE_UP:
                self._give_up(answer, str(error))
                return
            pause_s = min(FIRST_PAUSE_S * 2 ** min(answer.attempts, 30), LONGEST_PAUSE_S)
            with self._sessions.begin() as session:
                due_at = now + timedelta(seconds=pause_s)
                tracking.answer_later(session, answer.commitment_id, str(error), due_at)
            return
        with self._sessions.begin() as session:
            tracking.answered(session, answer.commitment_id, now)

    def _give_up(self, answer: CommitmentAnswer, reason: str) -> None:
        with self._sessions.begin() as session:
            tracking.give_up_answer(session, answer.commitment_id, reason)
        facts = {"transaction_uid": answer.transaction_uid, "calling_ae": answer.calling_ae, "reason": reason}
        logger.warning("commitment cannot be answered", extra=facts)


def report_to(callback: Callback, answer: CommitmentAnswer) -> None:
    """Report over a new association. Raises PeerAway where the modality does not take it."""
    peer = callback.application_entity
    entity = AE(answer.receiving_ae)
    entity.connection_timeout = entity.acse_timeout = CONNECT_TIMEOUT_S
    entity.dimse_timeout = entity.network_timeout = ANSWER_TIMEOUT_S
    entity.add_requested_context(COMMITMENT_CLASS)
    # PS3.4 J.3.3: who reports is the SCP, though it opens the association.
    role = build_role(COMMITMENT_CLASS, scp_role=True)
    tls_args = (callback.tls, peer.host) if callback.tls else None
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, ext_neg=[role], tls_args=tls_args)
    if not association.is_established:
        raise PeerAway(f"{peer} does not take our association")
    try:
        _report(association, answer)
    finally:
        association.release()


def _report(association: Association, answer: CommitmentAnswer) -> None:
    """Send the N-EVENT-REPORT. Raises PeerAway where it is not answered with success."""
    kind, report = event_report(answer)
    try:
        status, _ = association.send_n_event_report(report, kind, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
    except (RuntimeError, ValueError) as error:
        raise PeerAway("the association ended before the answer was sent") from error
    if status.get("Status") != 0x0000:
        raise PeerAway(f"the answer was not taken: status {status.get('Status')}")
    _note(answer, kind)


def _note(answer: CommitmentAnswer, kind: int) -> None:
    facts = {"transaction_uid": answer.transaction_uid, "calling_ae": answer.calling_ae, "event_type": kind}
    logger.info("commitment answered", extra=facts)


def event_report(answer: CommitmentAnswer) -> tuple[int, Dataset]:
    """Return event type and Event Information (PS3.4 Table J.3-2): what is kept, and what failed and why."""
    report = Dataset()
    report.TransactionUID = answer.transaction_uid
    kept = [_item(uid, sop_class, None) for uid, sop_class, failure in answer.outcomes if failure is None]
    failed = [_item(uid, sop_class, failure) for uid, sop_class, failure in answer.outcomes if failure is not None]
    if kept:
        report.ReferencedSOPSequence = kept
    if failed:
        report.FailedSOPSequence = failed
    return SOME_FAILED if failed else ALL_COMMITTED, report


def _item(sop_uid: str, sop_class: str, failure: int | None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
    if failure is not None:
        item.FailureReason = failure
    return item
