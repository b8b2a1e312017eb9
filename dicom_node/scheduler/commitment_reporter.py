"""Sends answers to storage commitment requests over associations of our own, and notes what became of each answer."""

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

from pynetdicom import AE, build_role
from pynetdicom.association import Association
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import tracking
from db.address import ApplicationEntity
from db.commitment import CommitmentAnswer
from dicom_node.answers import KEPT_FOR_WHO_ASKED
from dicom_node.commitment.event_report import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    SAME_ASSOCIATION_S,
    event_report,
)
from dicom_node.commitment.mailbox import Mailbox
from dicom_node.errors import PeerAway

logger = logging.getLogger(__name__)
POLL_S = 1.0
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 5, 30
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 3600.0
GIVE_UP = timedelta(days=2)


@dataclass(frozen=True)
class Callback:
    """The address at which a modality takes its answers, and the TLS context for it, if any."""

    application_entity: ApplicationEntity
    tls: ssl.SSLContext | None = None


class Reporter:
    """Sends answers over associations of our own to the modalities whose address is known."""

    def __init__(self, sessions: sessionmaker[Session], mailbox: Mailbox, callbacks: Mapping[str, Callback]) -> None:
        self._sessions = sessions
        self._mailbox = mailbox
        self._callbacks = callbacks

    def run(self, stop: Event, leads: Callable[[], bool]) -> None:
        """Send the answers that are due, while this process leads, until ``stop`` is set."""
        while not stop.wait(POLL_S):
            try:
                if leads():
                    self.tick(datetime.now(UTC))
            except SQLAlchemyError as error:
                # Logged as debug only: the scheduler itself warns that the database is away.
                logger.debug("commitments not answered", extra={"error": type(error).__name__})
                stop.wait(FIRST_PAUSE_S)

    def tick(self, now: datetime) -> None:
        """Note the answers that went over the association of their request, then try each other answer that is due."""
        for commitment_id, path in self._mailbox.answered():
            with self._sessions.begin() as session:
                tracking.answered(session, commitment_id, now)
            path.unlink(missing_ok=True)
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
        self._mailbox.withdraw(answer)
        with self._sessions.begin() as session:
            tracking.give_up_answer(session, answer.commitment_id, reason)
        facts = {"transaction_uid": answer.transaction_uid, "calling_ae": answer.calling_ae, "reason": reason}
        logger.warning("commitment cannot be answered", extra=facts)


def report_to(callback: Callback, answer: CommitmentAnswer) -> None:
    """Send an answer over a new association. Raises PeerAway where the modality does not take it."""
    peer = callback.application_entity
    entity = AE(answer.receiving_ae)
    entity.connection_timeout = entity.acse_timeout = CONNECT_TIMEOUT_S
    entity.dimse_timeout = entity.network_timeout = ANSWER_TIMEOUT_S
    entity.add_requested_context(COMMITMENT_CLASS)
    # PS3.4 J.3.3: the sender of the report is the SCP, although it opens the association.
    role = build_role(COMMITMENT_CLASS, scp_role=True)
    tls_args = (callback.tls, peer.host) if callback.tls else None
    association = entity.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        ext_neg=[role],
        tls_args=tls_args,
        evt_handlers=[KEPT_FOR_WHO_ASKED],
    )
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
